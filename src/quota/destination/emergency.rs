//! Numbers of emergency services, by country.
//!
//! Where the country is not known, those count that a telephone without a card takes for emergency
//! calls everywhere (3GPP TS 22.101, 10.1.1), as lines behind a PBX may lead anywhere.

use adapters::address::region;

use super::Forms;

/// Emergency numbers everywhere: mobile networks take them in every country.
const EVERYWHERE: &[&str] = &["112", "911"];
/// Emergency numbers where the country is not known.
const ANYWHERE: &[&str] = &["000", "08", "110", "118", "119", "999"];

/// Whether it is the number of an emergency service: as it is dialled in the country, or behind a
/// calling code.
pub(super) fn is(forms: &Forms, country: Option<&str>) -> bool {
    let dialled = forms.dialled.strip_prefix('+').unwrap_or(&forms.dialled);
    let local = country.map(|code| of(&code.to_ascii_uppercase()));
    if EVERYWHERE.contains(&dialled) || local.flatten().unwrap_or(ANYWHERE).contains(&dialled) {
        return true;
    }
    forms.international.as_deref().is_some_and(|number| {
        COUNTRIES.iter().any(|(code, numbers)| {
            let calling_code = region(code).map(|region| region.calling_code.to_string());
            let rest = calling_code.and_then(|code| number.strip_prefix(code.as_str()));
            rest.is_some_and(|rest| EVERYWHERE.contains(&rest) || numbers.contains(&rest))
        })
    })
}

/// The numbers of a country.
fn of(country: &str) -> Option<&'static [&'static str]> {
    let found = COUNTRIES.binary_search_by(|(code, _)| (*code).cmp(country)).ok();
    found.and_then(|at| COUNTRIES.get(at)).map(|(_, numbers)| *numbers)
}

/// Police, ambulance, fire brigade, coast guard, as the national numbering plans give them; sorted
/// by country. 112 and 911 are not repeated.
#[rustfmt::skip]
const COUNTRIES: &[(&str, &[&str])] = &[
    ("AE", &["997", "998", "999", "996", "995"]),
    ("AL", &["127", "128", "129"]),
    ("AM", &["101", "102", "103"]),
    ("AR", &["100", "101", "107"]),
    ("AT", &["122", "128", "133", "140", "144"]),
    ("AU", &["000", "106"]),
    ("AZ", &["101", "102", "103"]),
    ("BA", &["122", "123", "124"]),
    ("BD", &["999"]),
    ("BE", &["100", "101"]),
    ("BG", &["150", "160", "166"]),
    ("BH", &["999"]),
    ("BO", &["110", "118", "119"]),
    ("BR", &["190", "192", "193"]),
    ("BY", &["101", "102", "103", "104"]),
    ("CA", &[]),
    ("CH", &["117", "118", "144", "1414"]),
    ("CL", &["131", "132", "133"]),
    ("CN", &["110", "119", "120", "122"]),
    ("CO", &["119", "123", "125"]),
    ("CY", &["199"]),
    ("CZ", &["150", "155", "156", "158"]),
    ("DE", &["110"]),
    ("DK", &["114"]),
    ("DZ", &["14", "17"]),
    ("EC", &[]),
    ("EE", &["110"]),
    ("EG", &["122", "123", "180"]),
    ("ES", &["061", "062", "080", "085", "091", "092"]),
    ("FI", &[]),
    ("FR", &["15", "17", "18", "114", "115", "119", "191", "196", "197"]),
    ("GB", &["999"]),
    ("GE", &["111", "113", "114"]),
    ("GH", &["191", "192", "193"]),
    ("GR", &["100", "166", "199", "108"]),
    ("HK", &["992", "999"]),
    ("HR", &["192", "193", "194", "195"]),
    ("HU", &["104", "105", "107"]),
    ("ID", &["110", "113", "115", "118", "119"]),
    ("IE", &["999"]),
    ("IL", &["100", "101", "102", "103"]),
    ("IN", &["100", "101", "102", "108"]),
    ("IQ", &["104", "115", "122"]),
    ("IR", &["110", "115", "125"]),
    ("IS", &[]),
    ("IT", &["113", "114", "115", "118", "1530"]),
    ("JM", &["110", "119"]),
    ("JO", &["199"]),
    ("JP", &["110", "118", "119"]),
    ("KE", &["999"]),
    ("KR", &["113", "117", "119", "122"]),
    ("KW", &[]),
    ("KZ", &["101", "102", "103", "104"]),
    ("LB", &["140", "175", "999"]),
    ("LK", &["110", "119"]),
    ("LT", &["101", "102", "103"]),
    ("LU", &["113"]),
    ("LV", &["110", "113"]),
    ("MA", &["15", "19", "150", "177"]),
    ("MD", &["901", "902", "903"]),
    ("ME", &["122", "123", "124"]),
    ("MK", &["192", "193", "194"]),
    ("MT", &[]),
    ("MX", &["060", "065", "066"]),
    ("MY", &["994", "999"]),
    ("NG", &["199"]),
    ("NL", &[]),
    ("NO", &["110", "113"]),
    ("NZ", &["111"]),
    ("OM", &["9999"]),
    ("PE", &["105", "106", "116"]),
    ("PH", &["117"]),
    ("PK", &["15", "115", "1122"]),
    ("PL", &["997", "998", "999"]),
    ("PT", &["117"]),
    ("QA", &["999"]),
    ("RO", &[]),
    ("RS", &["192", "193", "194"]),
    ("RU", &["101", "102", "103", "104"]),
    ("SA", &["993", "997", "998", "999"]),
    ("SE", &[]),
    ("SG", &["993", "995", "999"]),
    ("SI", &["113"]),
    ("SK", &["150", "155", "158", "159"]),
    ("TH", &["191", "199", "1669"]),
    ("TN", &["190", "197", "198"]),
    ("TR", &["110", "155", "156", "158"]),
    ("TW", &["110", "118", "119"]),
    ("UA", &["101", "102", "103", "104"]),
    ("UG", &["999"]),
    ("US", &[]),
    ("UY", &["104", "105", "109"]),
    ("VE", &["171"]),
    ("VN", &["113", "114", "115"]),
    ("ZA", &["10111", "10177"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorted, of known countries, short, and none of them named twice.
    #[test]
    fn table_is_sound() {
        assert!(COUNTRIES.is_sorted_by(|a, b| a.0 < b.0));
        for (country, numbers) in COUNTRIES {
            assert!(region(country).is_some(), "{country}");
            for number in *numbers {
                assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
                assert!((2..=5).contains(&number.len()), "{number}");
                assert!(!EVERYWHERE.contains(number), "{country} {number}");
            }
        }
    }
}
