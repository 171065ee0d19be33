//! Colours.

/// The colours of the surface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Theme {
    /// As the reader's system
    #[default]
    Auto,
    /// Dark on white
    Light,
    /// Light on black
    Dark,
}

/// Colours of shared kernels, which colour-blind readers can tell apart (Okabe & Ito 2008), and whether text on them is
/// white.
const PALETTE: [(&str, bool); 8] = [
    ("#0072b2", true),
    ("#e69f00", false),
    ("#009e73", false),
    ("#cc79a7", false),
    ("#d55e00", false),
    ("#56b4e9", false),
    ("#f0e442", false),
    ("#8c8c8c", false),
];

/// The colour of a shared kernel, counted from 0. With more kernels than colours they begin again; labels differ.
pub(super) fn colour(kernel: usize) -> &'static str {
    PALETTE[kernel % PALETTE.len()].0
}

/// The class of text on the colour of a shared kernel.
pub(super) fn on_colour(kernel: usize) -> &'static str {
    match PALETTE[kernel % PALETTE.len()].1 {
        true => "white",
        false => "black",
    }
}

/// What has a colour in the style sheet, as `[light, dark]`.
const RULES: [(&str, [&str; 2]); 18] = [
    (".ground", ["fill:#ffffff", "fill:#0d1117"]),
    (".ink", ["fill:#1f2328", "fill:#e6edf3"]),
    (".dim", ["fill:#59636e", "fill:#9198a1"]),
    (".white", ["fill:#ffffff", "fill:#ffffff"]),
    (".black", ["fill:#000000", "fill:#000000"]),
    (".line", ["stroke:#6e7781", "stroke:#8b949e"]),
    (".head", ["fill:#6e7781", "fill:#8b949e"]),
    (".box", ["fill:#ffffff;stroke:#6e7781", "fill:#161b22;stroke:#8b949e"]),
    (".plain", ["fill:#ffffff;stroke:#d1d9e0", "fill:#161b22;stroke:#3d444d"]),
    (".pill", ["fill:#eaeef2;stroke:#6e7781", "fill:#2a313c;stroke:#8b949e"]),
    (".port", ["fill:#1f2328;stroke:#1f2328", "fill:#e6edf3;stroke:#e6edf3"]),
    (".on_port", ["fill:#ffffff", "fill:#0d1117"]),
    (".value", ["fill:#fff8c5;stroke:#9a6700", "fill:#272115;stroke:#d29922"]),
    (".wire", ["stroke:#9a6700", "stroke:#d29922"]),
    (
        ".frame0",
        ["fill:#f6f8fa;stroke:#afb8c1", "fill:#12171e;stroke:#4a525c"],
    ),
    (
        ".frame1",
        ["fill:#eef1f4;stroke:#afb8c1", "fill:#1a2029;stroke:#4a525c"],
    ),
    (".bar", ["stroke:#d1d9e0", "stroke:#3d444d"]),
    (".times", ["fill:#59636e", "fill:#9198a1"]),
];

/// The most shared kernels, and values, whose visits are marked when the pointer is on one.
const MARKED: usize = 64;

/// The style sheet of a picture with so many shared kernels and values with names.
pub(super) fn style(theme: Theme, [kernels, values]: [usize; 2]) -> String {
    let mut css = String::from(
        "text{font-family:'Helvetica Neue',Helvetica,Arial,'DejaVu Sans',sans-serif}\
         .line,.wire,.bar,.visit{fill:none}.line,.wire,.visit{stroke-width:1.5}.looped{stroke-dasharray:6 4}\
         .wire{stroke-dasharray:3 3}",
    );
    let rules = |index: usize| {
        RULES
            .map(|(class, colours)| format!("{class}{{{}}}", colours[index]))
            .concat()
    };
    css.push_str(&rules(usize::from(theme == Theme::Dark)));
    if theme == Theme::Auto {
        css.push_str(&format!("@media (prefers-color-scheme:dark){{{}}}", rules(1)));
    }
    let kernels = (0..kernels.min(MARKED)).map(super::kernels::label);
    for class in kernels.chain((0..values.min(MARKED)).map(|value| format!("v{value}"))) {
        css.push_str(&format!(
            "svg:has(.{class}:hover) .{class}>:is(rect:first-of-type,.visit){{stroke-width:3}}"
        ));
    }
    css
}
