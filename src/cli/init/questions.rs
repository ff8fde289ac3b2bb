//! Questions for what the flags did not say, with an answer ready for each.

use std::io::BufRead;

use clap::ValueEnum as _;

use super::preset::Size;
use super::{InitArgs, NewHost, host};

/// Asks on `input`, tells with `tell`. `None`: the input ended, the person gave up.
pub fn ask(arguments: &mut InitArgs, input: &mut dyn BufRead, tell: &dyn Fn(&str)) -> Option<()> {
    tell("A few questions; Enter takes what stands in brackets.\n");
    if arguments.server_name.is_none() {
        let name = loop {
            let name =
                line(input, tell, "Server name, the part of @user:example.org behind the colon", None)?;
            if !name.is_empty() {
                break name;
            }
            tell("It can never be changed, so there is no default.\n");
        };
        arguments.server_name = Some(name);
    }
    if arguments.public_baseurl.is_none() {
        let proposed = super::base_url(arguments.server_name.as_deref().unwrap_or_default());
        arguments.public_baseurl = Some(line(input, tell, "Where clients find it", Some(&proposed))?);
    }
    while arguments.host.is_empty() {
        let question = "Hosts: NAME=ADDRESS, or NAME=ADDRESS,INTERNAL_ADDRESS if there are several";
        let words = line(input, tell, question, Some("hs1=192.0.2.10"))?;
        match words.split_whitespace().map(host).collect::<Result<Vec<NewHost>, String>>() {
            Ok(hosts) => arguments.host = hosts,
            Err(problem) => tell(&format!("{problem}\n")),
        }
    }
    if arguments.user.is_none() {
        arguments.user = Some(line(input, tell, "User for SSH", Some("root"))?);
    }
    while arguments.size.is_none() {
        let question = "Size: small (2 cores, 4 GB), medium (4 to 8 cores, 16 GB), large or one-of-each";
        let word = line(input, tell, question, Some("small"))?;
        match Size::from_str(&word, true) {
            Ok(size) => arguments.size = Some(size),
            Err(_) => tell("Write small, medium, large or one-of-each.\n"),
        }
    }
    if arguments.trusted_proxy.is_empty() && arguments.certificate.is_none() {
        let certificate = line(input, tell, "Certificate on the first host", Some(super::CERTIFICATE))?;
        let key = line(input, tell, "Its key", Some(super::KEY))?;
        (arguments.certificate, arguments.key) = (Some(certificate), Some(key));
    }
    Some(())
}

fn line(
    input: &mut dyn BufRead,
    tell: &dyn Fn(&str),
    question: &str,
    proposed: Option<&str>,
) -> Option<String> {
    tell(&match proposed {
        Some(proposed) => format!("{question} [{proposed}]: "),
        None => format!("{question}: "),
    });
    let mut text = String::new();
    if input.read_line(&mut text).ok()? == 0 {
        return None;
    }
    let text = text.trim();
    Some(if text.is_empty() { proposed.unwrap_or_default().to_owned() } else { text.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn asked(input: &str) -> (Option<()>, InitArgs, String) {
        let mut arguments = InitArgs::default();
        let said = RefCell::new(String::new());
        let done = ask(&mut arguments, &mut input.as_bytes(), &|text| said.borrow_mut().push_str(text));
        (done, arguments, said.into_inner())
    }

    #[test]
    fn enter_takes_the_proposals() {
        let (done, arguments, said) = asked("\nexample.org\n\n\n\n\n\n\n");
        assert!(done.is_some(), "{said}");
        assert_eq!(arguments.public_baseurl.unwrap(), "https://matrix.example.org/");
        assert_eq!(arguments.host[0].address, "192.0.2.10");
        assert_eq!(arguments.user.unwrap(), "root");
        assert_eq!(arguments.size, Some(Size::Small));
        assert_eq!(arguments.key.unwrap(), super::super::KEY);
    }

    #[test]
    fn wrong_answers_are_asked_again_and_the_end_of_input_ends_it() {
        let (done, arguments, said) = asked(
            "example.org\nhttps://m.example.org/\nhs1\nhs1=h1,10.0.0.1 hs2=h2,10.0.0.2\ndeploy\nhuge\nlarge\n",
        );
        assert!(done.is_none());
        assert!(said.contains("NAME=ADDRESS") && said.contains("Write small"), "{said}");
        assert_eq!(arguments.host.len(), 2);
        assert_eq!(arguments.host[1].internal.as_deref(), Some("10.0.0.2"));
        assert_eq!(arguments.size, Some(Size::Large));
    }
}
