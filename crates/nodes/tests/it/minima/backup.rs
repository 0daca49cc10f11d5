//! The container: opened, made, and told apart when something is wrong.

use nodekeep_nodes::minima::backup::{LIMIT, Section, open, seal};
use nodekeep_nodes::minima::error::Error;
use nodekeep_nodes::minima::password::Password;
use zeroize::Zeroizing;

use nodekeep_testkit::minima::scene;

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned()))
}

#[test]
fn what_is_sealed_opens_with_its_password_only() {
    let contents = scene::contents();
    for text in ["minima", "a long pässword with spaces", ""] {
        let file = seal(&contents, &password(text)).unwrap();
        assert_eq!(open(&file, &password(text), LIMIT).unwrap(), contents);
        let other = open(&file, &password("another"), LIMIT);
        assert!(matches!(other, Err(Error::WrongPassword | Error::Damaged { .. })), "{other:?}");
    }
    let [a, b] = [(); 2].map(|()| seal(&contents, &Password::none()).unwrap());
    assert_ne!(a, b, "salt and vector are drawn anew");
}

#[test]
fn sections_come_in_their_order() {
    let contents = scene::contents();
    assert!(contents.section(Section::Wallet).starts_with(b"-- H2"));
    assert_eq!(&contents.section(Section::Peers)[4..], b"{}");
    let again = contents.with_wallet(b"another");
    assert_eq!(again.section(Section::Wallet), b"another");
    assert_eq!(again.section(Section::History), contents.section(Section::History));
    assert_eq!(format!("{contents:?}"), format!("Contents({} bytes)", contents.plaintext().len()));
}

#[test]
fn what_is_wrong_is_told_apart() {
    let contents = scene::contents();
    let file = seal(&contents, &Password::none()).unwrap();
    let opened = |file: &[u8]| open(file, &Password::none(), LIMIT);
    for foreign in [b"".as_slice(), b"PK\x03\x04 something else", &[0, 0, 0, 8]] {
        let error = opened(foreign).unwrap_err();
        assert!(matches!(error, Error::NotABackup { .. } | Error::CutOff), "{error}");
    }
    for length in [10, 20, 32, 33, file.len() - 1, file.len() - 16] {
        let error = opened(&file[..length]).unwrap_err();
        assert!(matches!(error, Error::CutOff | Error::NotABackup { .. }), "{length}: {error}");
    }
    let small = open(&file, &Password::none(), 100).unwrap_err();
    assert!(matches!(small, Error::TooLarge { limit: 100 }));
}

#[test]
fn a_flipped_bit_in_the_file_is_refused_or_changes_nothing() {
    let contents = scene::contents();
    let file = seal(&contents, &Password::none()).unwrap();
    let step = file.len() / 60;
    for at in (0..48).chain((48..file.len()).step_by(step)) {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(opened) = open(&damaged, &Password::none(), LIMIT) {
            // The vector's middle covers gzip's time stamp, which says nothing.
            assert!(opened == contents && (18..32).contains(&at), "byte {at}");
        }
    }
}
