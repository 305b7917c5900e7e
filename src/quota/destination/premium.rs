//! Premium numbers: those whose callee is paid by the caller, and networks that cost as much.

/// The length of the premium prefix that a number with calling code begins with.
pub(super) fn prefix(number: &str) -> Option<usize> {
    let fits = |length: &usize| {
        let start = number.get(..*length);
        start.is_some_and(|start| INTERNATIONAL.binary_search(&start).is_ok())
    };
    (LENGTH_MIN..=LENGTH_MAX).find(fits)
}

/// The length of the premium prefix that a number begins with as it is dialled in its country, for
/// those that have no form with calling code.
pub(super) fn as_dialled(dialled: &str, country: Option<&str>) -> Option<usize> {
    let country = country?.to_ascii_uppercase();
    let own = DIALLED.iter().filter(|(code, ..)| *code == country);
    let mut fitting = own.filter(|(_, start, _)| dialled.starts_with(start));
    fitting.find(|(.., length)| dialled.len() == *length).map(|(_, start, _)| start.len())
}

const LENGTH_MIN: usize = 3;
const LENGTH_MAX: usize = 7;

/// Premium numbers without a form with calling code: country, beginning, digits of the whole.
const DIALLED: &[(&str, &str, usize)] = &[("DE", "118", 5), ("GB", "118", 6), ("IE", "15", 10)];

/// Beginnings with calling code, as text, sorted. ITU-T E.164 lists 808, 87x, 88x and 979; the rest
/// is of the national numbering plans.
#[rustfmt::skip]
const INTERNATIONAL: &[&str] = &[
    "1900", "1976",
    "2786",
    "3090",
    "31900", "31906", "31909",
    "3290",
    "3389",
    "34803", "34806", "34807", "34905", "34907",
    "35160", "35164",
    "35290", "358600", "358700", "35990",
    "3690", "3691",
    "380900",
    "38190", "38560", "38564", "38569", "38690",
    "39166", "39892", "39894", "39895", "39899",
    "4090",
    "41900", "41901", "41906",
    "420900", "420906", "420909", "420976", "421900", "421976",
    "43900", "43901", "43930", "43931", "43939",
    "44871", "44872", "44873", "449",
    "4590",
    "46900", "46939", "46944",
    "47820", "47829",
    "48300", "48400", "4870",
    "49118", "49137", "49190", "49900",
    "52900", "54600", "54609", "55900", "56700", "57901",
    "61190", "64900",
    "7803", "7809",
    "808", "81990", "8260",
    "870", "878", "881", "882", "883", "888",
    "90900",
    "9721900", "9721901", "9721902", "9721956", "9721957",
    "979",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorted, digits, and of the lengths that are looked for.
    #[test]
    fn table_is_sound() {
        assert!(INTERNATIONAL.is_sorted_by(|a, b| a < b));
        for start in INTERNATIONAL {
            assert!(start.bytes().all(|byte| byte.is_ascii_digit()), "{start}");
            assert!((LENGTH_MIN..=LENGTH_MAX).contains(&start.len()), "{start}");
        }
    }
}
