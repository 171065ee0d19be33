//! Rows of a table that ids name, against their definition.

use crate::support::{Rng, at_every_level, buf, cpu_of};
use ksdsl_cpu::{CpuExec, CpuReal, Error};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::ids::WrongId;
use ksdsl_engine::size::RowSize;

fn check<E: CpuReal>([rows, channels, count]: [usize; 3])
where
    CpuExec: Exec<E, Buf = ksdsl_cpu::CpuBuf<E>>,
{
    let mut rng = Rng(46);
    let size = RowSize { rows, channels };
    let named: Vec<usize> = (0..count).map(|_| rng.between(0, rows - 1)).collect();
    let ids: Vec<E> = named.iter().map(|&row| E::of(row as f64)).collect();
    let [table, start] = [(); 2].map(|()| rng.values::<E>(rows * channels));
    let y = cpu_of::<E>().gather_rows(size, &buf(&table), &buf(&ids)).unwrap();
    let want = named.iter().flat_map(|row| &table[row * channels..][..channels]);
    assert!(y.iter().eq(want), "{size:?}");
    let (dy, mut sums, mut want) = (rng.values::<E>(count * channels), buf(&start), start);
    cpu_of::<E>()
        .scatter_add_rows(size, &buf(&dy), &buf(&ids), &mut sums)
        .unwrap();
    for (position, row) in named.into_iter().enumerate() {
        for c in 0..channels {
            want[row * channels + c] += dy[position * channels + c];
        }
    }
    assert!(sums.iter().eq(&want), "{size:?}");
}

#[test]
fn rows_are_those_that_ids_name() {
    at_every_level(|| {
        for sizes in [[1, 1, 1], [3, 5, 0], [7, 3, 20], [5000, 20, 900], [2, 40_000, 9]] {
            check::<f32>(sizes);
            check::<f64>(sizes);
        }
    });
}

#[test]
fn wrong_ids_and_lengths_are_errors() {
    let size = RowSize { rows: 4, channels: 2 };
    let run = |ids: &[f32], len: usize| {
        let (ids, table) = (buf(ids), buf(&vec![1.0_f32; len]));
        let gathered = Exec::<f32>::gather_rows(&CpuExec, size, &table, &ids).map(drop);
        let dy = buf(&vec![1.0_f32; 2 * ids.len()]);
        let mut sums = table.clone();
        let added = Exec::<f32>::scatter_add_rows(&CpuExec, size, &dy, &ids, &mut sums);
        assert_eq!(format!("{gathered:?}"), format!("{added:?}"));
        assert!(
            added.is_ok() || sums[..] == table[..],
            "nothing is added where an id is wrong"
        );
        gathered
    };
    assert_eq!(run(&[0.0, 3.0], 8), Ok(()));
    for id in [4.0, -1.0, 1.5, f32::INFINITY] {
        let wrong = WrongId {
            id: f64::from(id),
            position: 2,
            rows: 4,
        };
        assert_eq!(run(&[0.0, 1.0, id], 8), Err(Error::WrongId(wrong)));
    }
    assert!(matches!(run(&[f32::NAN], 8), Err(Error::WrongId(_))));
    assert_eq!(run(&[0.0], 7), Err(Error::WrongLength));
}
