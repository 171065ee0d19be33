//! Element types of the format.

use std::fmt;

macro_rules! kinds {
    ($($kind:ident $name:literal $bytes:literal)+) => {
        /// The type of a tensor's elements, by its name in the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, non_camel_case_types)]
        pub enum Kind {
            $($kind),+
        }

        impl Kind {
            /// The type of this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Kind::$kind),)+
                    _ => None,
                }
            }

            /// Bytes of an element.
            pub fn bytes(self) -> u64 {
                match self {
                    $(Kind::$kind => $bytes,)+
                }
            }

            /// Its name in the format.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    F64 "F64" 8
    I64 "I64" 8
    U64 "U64" 8
    F32 "F32" 4
    I32 "I32" 4
    U32 "U32" 4
    F16 "F16" 2
    BF16 "BF16" 2
    I16 "I16" 2
    U16 "U16" 2
    F8_E5M2 "F8_E5M2" 1
    F8_E4M3 "F8_E4M3" 1
    I8 "I8" 1
    U8 "U8" 1
    Bool "BOOL" 1
}

impl Kind {
    /// Whether its elements are floating-point numbers, as those of networks are.
    pub fn is_float(self) -> bool {
        use Kind::{BF16, F8_E4M3, F8_E5M2, F16, F32, F64};
        matches!(self, F64 | F32 | F16 | BF16 | F8_E5M2 | F8_E4M3)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
