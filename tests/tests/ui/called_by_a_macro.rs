use ksdsl_runtime::ksnet;

// Tokens from two places: their order counts, not where they stand.
macro_rules! mixer {
    ($name:ident, $layer:ident, $width:expr, $pattern:ident) => {
        ksnet! {
            /// A mixer.
            net $name {
                input 8 x 32 x 32
                stage s1 { repeat 2 { $layer(2 * $width, kernel = 3, pad = 1); relu } }
                share $pattern[0..2].*conv, s2
            }
        }
    };
}

mixer!(small, conv, 2 + 2, s1);
mixer!(misspelt, cnov, 4, s1);

fn main() {}
