//! Which scenarios run: all of them (`SYNPROV_TEST_ALL=1`, as `make proof` does), those whose name has a
//! word of `SYNPROV_TEST_ONLY=word,word`, else a few, drawn by `SYNPROV_SEED`, which is printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// For each name whether it runs. `always` are in every draw; `few` is how many are drawn besides.
pub fn chosen(names: &[&str], always: &[&str], few: usize) -> Vec<bool> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(only) = variable("SYNPROV_TEST_ONLY") {
        let chosen: Vec<bool> =
            names.iter().map(|name| only.split(',').any(|word| name.contains(word))).collect();
        assert!(chosen.contains(&true), "no scenario is called {only}");
        return chosen;
    }
    if variable("SYNPROV_TEST_ALL").is_some() {
        return vec![true; names.len()];
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = variable("SYNPROV_SEED").and_then(|text| text.parse().ok()).unwrap_or(now | 1);
    eprintln!("SYNPROV_SEED={seed} draws {few} of {} scenarios; SYNPROV_TEST_ALL=1 runs all", names.len());
    let mut chosen: Vec<bool> = names.iter().map(|name| always.contains(name)).collect();
    let mut state = seed | 1;
    let mut left = few.min(chosen.iter().filter(|chosen| !**chosen).count());
    while left > 0 {
        // xorshift64 (Marsaglia 2003): any generator will do, it only has to repeat.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from(state % names.len() as u64).unwrap_or(0);
        if !chosen[at] {
            chosen[at] = true;
            left -= 1;
        }
    }
    chosen
}
