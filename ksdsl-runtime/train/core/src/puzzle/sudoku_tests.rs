use super::Sudoku;
use std::collections::BTreeSet;

fn sudoku(size: usize) -> Sudoku {
    Sudoku::of_size(size).unwrap()
}

/// Rows, columns and boxes as sets, written down without the search.
fn is_solution(grid: &[u8], size: usize, box_width: usize) -> bool {
    let digits: BTreeSet<u8> = (1..=size as u8).collect();
    let all = |cells: &mut dyn Iterator<Item = usize>| cells.map(|cell| grid[cell]).collect::<BTreeSet<u8>>() == digits;
    (0..size).all(|unit| {
        let (top, left) = (unit / 2 * 2, unit % 2 * box_width);
        all(&mut (0..size).map(|column| unit * size + column))
            && all(&mut (0..size).map(|row| row * size + unit))
            && all(&mut (0..size).map(|cell| (top + cell / box_width) * size + left + cell % box_width))
    })
}

/// There are 288 grids of size 4 (OEIS A107739) and 28,200,960 of size 6, of which fixing the first row leaves one in 6!.
#[test]
fn all_grids_of_size_4_are_counted() {
    assert_eq!(sudoku(4).solutions(&[0; 16], usize::MAX), 288);
    let mut first = [0; 36];
    first[..6].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(sudoku(6).solutions(&first, usize::MAX), 28_200_960 / 720);
}

#[test]
fn puzzles_have_one_solution() {
    for (size, box_width) in [(4, 2), (6, 3)] {
        let of = sudoku(size);
        let training = (0..40).map(|index| of.training(7, index / 8, index % 8));
        for puzzle in training.chain(of.held_out(40)) {
            assert!(is_solution(&puzzle.solution, size, box_width), "{puzzle:?}");
            let given = puzzle.clues.iter().filter(|digit| **digit > 0).count();
            assert!((size..of.cells()).contains(&given), "{puzzle:?}");
            let pairs = puzzle.clues.iter().zip(&puzzle.solution);
            assert!(pairs.clone().all(|(clue, digit)| *clue == 0 || clue == digit));
            assert_eq!(of.solutions(&puzzle.clues, 2), 1);
        }
    }
}

/// Every solution of size 4 comes up, each on its side alone.
#[test]
fn validation_has_other_solutions_than_training() {
    let of = sudoku(4);
    let training: BTreeSet<Vec<u8>> = (0..4000).map(|index| of.training(0, index, 0).solution).collect();
    let held_out: BTreeSet<Vec<u8>> = of.held_out(800).into_iter().map(|puzzle| puzzle.solution).collect();
    assert!(training.is_disjoint(&held_out));
    assert_eq!(training.len() + held_out.len(), 288);
    assert!((20..60).contains(&held_out.len()), "{}", held_out.len());
}

#[test]
fn puzzles_depend_on_seed_step_and_index() {
    let of = sudoku(6);
    let puzzles = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)].map(|(run, step, index)| of.training(run, step, index));
    for (at, puzzle) in puzzles.iter().enumerate() {
        assert!(!puzzles[at + 1..].contains(puzzle));
    }
    assert_eq!(puzzles[0], of.training(0, 0, 0));
}

#[test]
fn contradictions_have_no_solution() {
    let mut clues = [0; 16];
    (clues[0], clues[5]) = (1, 1);
    assert_eq!(sudoku(4).solutions(&clues, 2), 0);
    assert!(Sudoku::of_size(9).unwrap_err().contains("4 or 6"));
}
