//! The byte encoding.

use nodekeep_repo::wire::{Decoder, Encoder, Malformed};
use proptest::prelude::*;

fn varint(bytes: &[u8]) -> Result<u64, &'static str> {
    let mut from = Decoder::new(bytes);
    let value = from.varint().map_err(|e| e.what)?;
    from.end().map_err(|e| e.what)?;
    Ok(value)
}

#[test]
fn integers_have_one_form() {
    let nine = [0xff; 9];
    let full = [nine.as_slice(), &[1]].concat();
    let cases: &[(&[u8], Result<u64, &str>)] = &[
        (&[0], Ok(0)),
        (&[0x7f], Ok(127)),
        (&[0x80, 1], Ok(128)),
        (&[0xff, 0x7f], Ok(16_383)),
        (&full, Ok(u64::MAX)),
        (&[0x80, 0], Err("integer not in shortest form")),
        (&[0x80, 0x80, 0], Err("integer not in shortest form")),
        (&[nine.as_slice(), &[2]].concat(), Err("integer too large")),
        (&[nine.as_slice(), &[0x81, 0]].concat(), Err("integer too long")),
        (&[nine.as_slice(), &[0]].concat(), Err("integer not in shortest form")),
        (&[], Err("input ends early")),
        (&[0x80], Err("input ends early")),
        (&[1, 1], Err("bytes left over")),
    ];
    for (bytes, expected) in cases {
        assert_eq!(varint(bytes), *expected, "{bytes:x?}");
    }
}

#[test]
fn counts_are_compared_with_what_is_left() {
    for huge in super::HUGE {
        let bytes = [Encoder::new().varint(huge).as_bytes(), &[0; 1000]].concat();
        let refused = "count or length exceeds the input";
        assert_eq!(Decoder::new(&bytes).blob().unwrap_err().what, refused);
        assert_eq!(Decoder::new(&bytes).str().unwrap_err().what, refused);
        assert_eq!(Decoder::new(&bytes).list(1, |from| from.u8()).unwrap_err().what, refused);
        assert_eq!(Decoder::new(&bytes).ext().unwrap_err().what, refused);
    }
    let fits = [Encoder::new().varint(1000).as_bytes(), &[0; 1000]].concat();
    assert_eq!(Decoder::new(&fits).list(1, |from| from.u8()).unwrap().len(), 1000);
    assert!(
        Decoder::new(&fits).list(2, |from| from.u8()).is_err(),
        "items of two bytes do not fit"
    );
}

#[test]
fn extensions_may_be_ignored_only_if_even() {
    let ext = |tags: &[u64]| {
        let mut to = Encoder::new();
        to.list(tags, |to, tag| {
            to.varint(*tag).blob(b"any");
        });
        let bytes = to.into_bytes();
        let mut from = Decoder::new(&bytes);
        from.ext().and_then(|()| from.end()).map_err(|e| e.what)
    };
    assert_eq!(ext(&[]), Ok(()));
    assert_eq!(ext(&[0, 2, 500]), Ok(()));
    assert_eq!(ext(&[2, 2]), Err("extension tags out of order"));
    assert_eq!(ext(&[4, 2]), Err("extension tags out of order"));
    assert_eq!(ext(&[0, 3]), Err("an extension that a newer Nodekeep requires"));
}

#[test]
fn small_integers_and_options_are_bounded() {
    let at = |bytes: &[u8]| Decoder::new(bytes).u32().map_err(|e| e.what);
    assert_eq!(at(Encoder::new().varint(u64::from(u32::MAX)).as_bytes()), Ok(u32::MAX));
    assert_eq!(at(Encoder::new().varint(1 << 32).as_bytes()), Err("integer above 32 bits"));
    assert_eq!(
        Decoder::new(&[2]).opt(|from| from.u8()).unwrap_err().what,
        "neither absent nor present"
    );
    assert_eq!(Decoder::new(&[2, 0xc3, 0x28]).str().unwrap_err().what, "text is not UTF-8");
}

type Everything = (u8, u64, i64, Vec<u8>, String, Option<u64>, Vec<(u64, Vec<u8>)>);

fn encode(all: &Everything) -> Vec<u8> {
    let mut to = Encoder::new();
    to.u8(all.0).varint(all.1).zint(all.2).blob(&all.3).blob(all.4.as_bytes());
    to.opt(all.5, |to, v| {
        to.raw(&v.to_le_bytes());
    });
    to.list(&all.6, |to, (n, b)| {
        to.varint(*n).blob(b);
    });
    to.no_ext();
    to.into_bytes()
}

fn decode(bytes: &[u8]) -> Result<Everything, Malformed> {
    let mut from = Decoder::new(bytes);
    let all = (
        from.u8()?,
        from.varint()?,
        from.zint()?,
        from.blob()?.to_vec(),
        from.str()?,
        from.opt(|from| from.u64le())?,
        from.list(2, |from| Ok((from.varint()?, from.blob()?.to_vec())))?,
    );
    from.ext()?;
    from.end()?;
    Ok(all)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(all: Everything) {
        prop_assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn what_decodes_has_no_other_form(bytes: Vec<u8>) {
        if let Ok(all) = decode(&bytes) {
            // Extensions are the one thing that is read over.
            let again = encode(&all);
            prop_assert_eq!(&again[..again.len() - 1], &bytes[..again.len() - 1]);
        }
    }
}

#[test]
fn an_encoding_survives_no_damage_silently() {
    let all = (
        1,
        300,
        -5,
        vec![1, 2, 3],
        "text".to_owned(),
        Some(7),
        vec![(1, vec![9; 20]), (2, vec![])],
    );
    super::batter(&encode(&all), |bytes| decode(bytes).is_ok());
}
