fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let source = ksdsl::source::Source::new(path, text);
    let set = std::env::args()
        .skip(2)
        .map(|a| {
            let (k, v) = a.split_once('=').unwrap();
            (k.to_owned(), ksdsl::value::Value::parse(v).unwrap())
        })
        .collect();
    let c = ksdsl::compile::compile(&source, &ksdsl::compile::Options { net: None, set });
    println!("{}", ksdsl::render::render(&source, &c.diagnostics, false));
    for n in &c.networks {
        let s = ksdsl::summary::Summary::new(n, 1);
        println!("{}", s.to_string().lines().take(60).collect::<Vec<_>>().join("\n"));
    }
}
