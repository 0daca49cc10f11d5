//! Compression inside a chunk.

use nodekeep_repo::codec::{Compression, Compressor, Decompressor, MAX_CHUNK, decode_unsized};
use nodekeep_repo::error::Damage;
use proptest::prelude::*;

use super::noise;

fn coded(compression: Compression, plain: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    Compressor::new(compression).append(plain, &mut out);
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

fn decoded(bytes: &[u8], raw_len: usize) -> Result<Vec<u8>, Damage> {
    let mut out = b"what was there".to_vec();
    Decompressor::new().decode(bytes, raw_len, &mut out).map(|()| out)
}

#[test]
fn what_does_not_shrink_is_stored_as_it_is() {
    let text = b"some words that come again and again, ".repeat(1000);
    // Text with noise in the middle, where the probe looks.
    let half = [&text[..20_000], &noise(5, 20_000), &text[..20_000]].concat();
    for (plain, codec) in [
        (vec![], 0),
        (b"x".to_vec(), 0),
        (noise(1, 1000), 0),
        (noise(1, 100_000), 0),
        (half, 0),
        (text.clone(), 1),
        (vec![0; MAX_CHUNK], 1),
    ] {
        let bytes = coded(Compression::default(), &plain);
        assert_eq!(bytes[0], codec, "{} bytes", plain.len());
        assert!(bytes.len() <= plain.len() + 1);
        assert!(decoded(&bytes, plain.len()).unwrap() == plain);
    }
    assert_eq!(coded(Compression::None, &text)[..10], [&[0], &text[..9]].concat());
    for level in [-7, 1, 3, 22] {
        let bytes = coded(Compression::Zstd(level), &text);
        assert!(bytes[0] == 1 && decoded(&bytes, text.len()).unwrap() == text, "level {level}");
    }
}

#[test]
fn a_payload_gives_exactly_its_raw_length() {
    let plain = vec![7; 10_000];
    for bytes in [coded(Compression::default(), &plain), coded(Compression::None, &plain)] {
        assert_eq!(decoded(&bytes, 10_000), Ok(plain.clone()));
        for wrong in [0, 1, 9_999, 10_001, 100_000, MAX_CHUNK] {
            assert_eq!(decoded(&bytes, wrong), Err(Damage::Compression), "{wrong}");
        }
        assert_eq!(decoded(&bytes, MAX_CHUNK + 1), Err(Damage::TooLarge));
        assert_eq!(decoded(&bytes, usize::MAX), Err(Damage::TooLarge));
        assert_eq!(decoded(&bytes[..bytes.len() - 1], 10_000), Err(Damage::Compression));
        assert_eq!(decode_unsized(&bytes, 10_000), Ok(plain.clone()));
        assert!(decode_unsized(&bytes, 9_999).is_err());
    }
    assert_eq!(decoded(&[], 0), Err(Damage::Compression));
    assert_eq!(decoded(&[2, 0], 1), Err(Damage::Compression), "an unknown codec");
    assert_eq!(decode_unsized(&[], 10), Err(Damage::Compression));
    assert_eq!(decode_unsized(&[2, 0], 10), Err(Damage::Compression));
}

#[test]
fn a_bomb_gives_no_more_than_it_may() {
    let bomb = [&[1], zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap().as_slice()].concat();
    assert!(bomb.len() < 10_000);
    assert_eq!(decoded(&bomb, 1000), Err(Damage::Compression));
    assert_eq!(decoded(&bomb, MAX_CHUNK), Err(Damage::Compression));
    assert_eq!(decode_unsized(&bomb, 1 << 20), Err(Damage::TooLarge));
}

#[test]
fn a_payload_is_exactly_one_frame() {
    let frame = zstd::bulk::compress(b"text", 1).unwrap();
    let empty = zstd::bulk::compress(b"", 1).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0];
    let cases: [(&[&[u8]], bool); 8] = [
        (&[&frame], true),
        (&[&frame, &empty], false),
        (&[&empty, &frame], false),
        (&[&frame, &skippable], false),
        (&[&skippable, &frame], false),
        (&[&frame, b"x"], false),
        (&[], false),
        (&[&skippable], false),
    ];
    for (parts, good) in cases {
        let bytes = [&[1], parts.concat().as_slice()].concat();
        let len = if good { 4 } else { parts.iter().filter(|p| **p == frame).count() * 4 };
        assert_eq!(decoded(&bytes, len).is_ok(), good, "{bytes:x?}");
        assert_eq!(decode_unsized(&bytes, 100).is_ok(), good, "{bytes:x?}");
    }
}

#[test]
fn one_compressor_serves_many_chunks() {
    let mut compressor = Compressor::new(Compression::default());
    let mut decompressor = Decompressor::new();
    let (mut out, mut plain) = (Vec::new(), Vec::new());
    for chunk in [vec![1; 50_000], noise(2, 50_000), vec![], vec![3; 10]] {
        out.clear();
        compressor.append(&chunk, &mut out);
        decompressor.decode(&out, chunk.len(), &mut plain).unwrap();
        assert_eq!(plain, chunk);
    }
}

proptest! {
    #[test]
    fn any_chunk_is_kept(plain: Vec<u8>, times in 1usize..50) {
        let plain = plain.repeat(times);
        let bytes = coded(Compression::default(), &plain);
        prop_assert_eq!(decoded(&bytes, plain.len()).unwrap(), plain);
    }

    #[test]
    fn any_bytes_decode_or_fail(codec in 0u8..3, bytes: Vec<u8>, raw_len in 0usize..100_000) {
        let bytes = [&[codec], bytes.as_slice()].concat();
        if let Ok(plain) = decoded(&bytes, raw_len) {
            prop_assert_eq!(plain.len(), raw_len);
        }
        prop_assert!(decode_unsized(&bytes, 1000).is_ok_and(|p| p.len() <= 1000) || decode_unsized(&bytes, 1000).is_err());
    }
}

#[test]
fn a_damaged_frame_does_not_decode_to_more() {
    let plain = b"some words that come again and again, ".repeat(20);
    for bytes in super::damaged(&coded(Compression::default(), &plain)) {
        if let Ok(out) = decoded(&bytes, plain.len()) {
            assert_eq!(out.len(), plain.len());
        }
        assert!(decode_unsized(&bytes, 2000).map_or(true, |out| out.len() <= 2000));
    }
}
