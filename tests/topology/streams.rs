//! Streams and jobs of the catalogue, held against the configuration that sixteen Synapses know.

use std::collections::BTreeSet;

use synprov::topology::catalogue::Catalogue;
use synprov::version::Version;

#[test]
fn every_release_knows_the_streams_and_jobs_of_the_catalogue_and_no_others() {
    let catalogue = Catalogue::builtin().unwrap();
    let text = include_str!("../data/registered/streams.txt");
    let mut checked = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (release, words) = line.split_once(' ').unwrap();
        let (version, theirs) = (Version::parse(release).unwrap(), words.split(' ').map(str::to_owned));
        let known = catalogue.streams.iter().filter(|stream| stream.known(&version));
        let streams = known.map(|stream| {
            let many = if stream.shared(&version) { "many" } else { "one" };
            format!("{}:{many}", stream.name)
        });
        let ours: BTreeSet<String> =
            streams.chain(catalogue.jobs.iter().map(|job| job.key.clone())).collect();
        assert_eq!(ours, theirs.collect::<BTreeSet<_>>(), "Synapse {release}");
        checked += 1;
    }
    assert_eq!(checked, 16);
}
