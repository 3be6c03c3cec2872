//! The date and time that a template may print. The engine reads no clock: the caller gives the time.

/// A point in time of the proleptic Gregorian calendar, in whatever zone the caller means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilTime {
    /// Seconds since 1970-01-01 00:00:00 of that zone.
    seconds: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const DAY: i64 = 86_400;

impl CivilTime {
    /// The time `seconds` after 1970-01-01 00:00:00. Far outside a calendar's use it stays at year 1 or 9999.
    pub fn from_unix(seconds: i64) -> Self {
        CivilTime {
            seconds: seconds.clamp(-62_135_596_800, 253_402_300_799),
        }
    }

    /// Year, month from 1, day from 1.
    fn date(self) -> (i64, i64, i64) {
        // Years start in March, so that the day that comes and goes is the last one.
        let days = self.seconds.div_euclid(DAY) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    fn day_of_year(self) -> i64 {
        let (year, month, day) = self.date();
        let leap = i64::from((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let index = usize::try_from(month - 1).unwrap_or(0);
        before.get(index).copied().unwrap_or(0) + if month > 2 { leap } else { 0 } + day
    }

    /// C's `strftime` in the C locale, for the conversions that dates in prompts use; another one is an error.
    pub fn strftime(self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match rest.next() {
                Some('-') => {
                    let padded = self.conversion(rest.next())?;
                    let bare = padded.trim_start_matches(['0', ' ']);
                    out.push_str(if bare.is_empty() { "0" } else { bare });
                }
                letter => out.push_str(&self.conversion(letter)?),
            }
        }
        Ok(out)
    }

    fn conversion(self, letter: Option<char>) -> Result<String, String> {
        let (year, month, day) = self.date();
        let second_of_day = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (
            second_of_day / 3_600,
            second_of_day / 60 % 60,
            second_of_day % 60,
        );
        let name = |names: &[&'static str], index: i64| {
            let name = usize::try_from(index)
                .ok()
                .and_then(|index| names.get(index));
            name.copied().unwrap_or_default()
        };
        let short = |name: &str| name.chars().take(3).collect::<String>();
        let (weekday, month_name) = (
            name(&WEEKDAYS, (self.seconds.div_euclid(DAY) + 3).rem_euclid(7)),
            name(&MONTHS, month - 1),
        );
        Ok(match letter {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('j') => format!("{:03}", self.day_of_year()),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_string(),
            Some('A') => weekday.to_string(),
            Some('a') => short(weekday),
            Some('B') => month_name.to_string(),
            Some('b' | 'h') => short(month_name),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_string(),
            Some(other) => return Err(format!("strftime_now: %{other} is not known")),
            None => return Err("strftime_now: % at the end".to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_around_leap_days_and_year_ends() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 Thu 001 12 AM"),
            (-1, "1969-12-31 23:59:59 Wed 365 11 PM"),
            (68_169_600, "1972-02-29 00:00:00 Tue 060 12 AM"),
            (951_782_400, "2000-02-29 00:00:00 Tue 060 12 AM"),
            (1_735_689_599, "2024-12-31 23:59:59 Tue 366 11 PM"),
            (4_107_542_399, "2100-02-28 23:59:59 Sun 059 11 PM"),
            (i64::MAX, "9999-12-31 23:59:59 Fri 365 11 PM"),
            (i64::MIN, "1-01-01 00:00:00 Mon 001 12 AM"),
        ] {
            let text = CivilTime::from_unix(seconds).strftime("%Y-%m-%d %H:%M:%S %a %j %I %p");
            assert_eq!(text.as_deref(), Ok(expected));
        }
    }

    #[test]
    fn unknown_conversions_are_named() {
        let time = CivilTime::from_unix(0);
        for (format, part) in [
            ("%Q", "%Q"),
            ("a%", "at the end"),
            ("%-", "at the end"),
            ("%-Q", "%Q"),
        ] {
            let error = time.strftime(format).unwrap_err();
            assert!(error.contains(part), "{format}: {error}");
        }
    }
}
