//! Copies of shared tensors, and the visits that a file names.

use super::*;

/// Every order of three copies of which one differs, with and without the tensor itself.
#[test]
fn one_copy_that_differs_is_found() {
    let network = [expected("shared.k.weight", &[2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let keys = ["shared.k.weight", "a.weight", "b.weight", "c.weight"];
    for present in [&keys[..], &keys[1..]] {
        let with = |odd: Option<usize>| {
            let tensors: Vec<_> = (0..present.len())
                .map(|at| singles(present[at], &[2], &[1.0, if Some(at) == odd { 3.0 } else { 2.0 }]))
                .collect();
            file(&tensors, &[])
        };
        let equal = with(None);
        assert_eq!(
            resolve(&equal, &network, &sharing).unwrap()[0].data,
            equal.get("a.weight").unwrap().data
        );
        for odd in 0..present.len() {
            let problems = resolve(&with(Some(odd)), &network, &sharing).unwrap_err().0;
            let second = if odd == 0 { 1 } else { odd };
            let untied = Problem::Untied {
                shared: "shared.k.weight".to_owned(),
                first: present[0].to_owned(),
                second: present[second].to_owned(),
            };
            assert_eq!(problems, [untied]);
        }
    }
}

/// Copies that are missing are listed; the tensor itself makes them needless, but those that are there count.
#[test]
fn missing_copies_are_listed() {
    let network = [expected("shared.k.weight", &[1], Some(Kind::F32))];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let of = |keys: &[&str]| {
        let tensors: Vec<_> = keys.iter().map(|key| singles(key, &[1], &[1.0])).collect();
        resolve(&file(&tensors, &[]), &network, &sharing)
            .map(|views| views.len())
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(of(&["shared.k.weight"]), Ok(1));
    assert_eq!(of(&["shared.k.weight", "b.weight"]), Ok(1));
    let alone = Problem::Missing {
        key: "p.bias".to_owned(),
        copies: Vec::new(),
    };
    assert!(!alone.to_string().contains("cop"), "{alone}");
    let head = "the checkpoint does not match the network:\n- `shared.k.weight` is missing, and so";
    assert_eq!(
        of(&["b.weight", "c.weight"]),
        Err(format!("{head} is a copy that could replace it: `a.weight`"))
    );
    let two = format!("{head} are copies that could replace it: `a.weight`, `c.weight`");
    assert_eq!(of(&["b.weight"]), Err(two));
    let surplus = of(&["shared.k.weight", "d.weight"]).unwrap_err();
    assert!(
        surplus.ends_with("\n- `d.weight` is not a tensor of the network"),
        "{surplus}"
    );
    let wide = file(&[doubles("shared.k.weight", &[1, 1], &[1.0])], &[]);
    let problems = resolve(&wide, &network, &sharing).unwrap_err().to_string();
    let lines =
        "\n- `shared.k.weight` has the shape [1, 1], expected [1]\n- `shared.k.weight` has the type F64, expected F32";
    assert!(problems.ends_with(lines), "{problems}");
}

/// The visits that a file names are those of the network: none too many, none too few, in any order.
#[test]
fn visits_of_the_file_are_those_of_the_network() {
    let network = [
        expected("shared.k.weight", &[1], None),
        expected("shared.l.weight", &[1], None),
    ];
    let visits = ["a.weight", "b.weight", "c.weight"];
    let sharing = [
        shared("shared.k.weight", &visits),
        shared("shared.l.weight", &["d.weight", "e.weight"]),
    ];
    let with = |key: &str, visits: &[&str]| {
        let tensors = [
            singles("shared.k.weight", &[1], &[1.0]),
            singles("shared.l.weight", &[1], &[2.0]),
        ];
        let file = file(&tensors, &[shared(key, visits)]);
        resolve(&file, &network, &sharing)
            .map(|views| views.len())
            .map_err(|problems| problems.0)
    };
    let problem = |key: &str, visit: &str, in_file| Problem::Visits {
        key: key.to_owned(),
        visit: visit.to_owned(),
        in_file,
    };
    let k = "shared.k.weight";
    assert_eq!(with(k, &visits), Ok(2));
    assert_eq!(with(k, &["c.weight", "a.weight", "b.weight"]), Ok(2));
    assert_eq!(
        with(k, &["a.weight", "b.weight", "c.weight", "z.weight"]),
        Err(vec![problem(k, "z.weight", true)])
    );
    assert_eq!(
        with(k, &["a.weight", "c.weight"]),
        Err(vec![problem(k, "b.weight", false)])
    );
    assert_eq!(with(k, &[]), Err(vec![problem(k, "a.weight", false)]));
    let l = "shared.l.weight";
    assert_eq!(
        with(l, &["d.weight", "c.weight", "e.weight"]),
        Err(vec![problem(l, "c.weight", true)])
    );
    assert_eq!(
        problem(l, "c.weight", true).to_string(),
        "`shared.l.weight` serves `c.weight` in the file, but not in the network"
    );
}
