//! Slashing protection: read strictly, merged so that nothing is ever lowered.

use std::collections::BTreeMap;

use nodekeep_nodes::fence::interchange::{Interchange, Unfit};
use nodekeep_nodes::fence::mark::{Last, Signatures};
use proptest::prelude::*;

pub fn chain() -> String {
    format!("0x{}", "04".repeat(32))
}

pub fn validator(number: u8) -> String {
    format!("0x{}", format!("{number:02x}").repeat(48))
}

fn root(number: u8) -> String {
    format!("0x{}", format!("{number:02x}").repeat(32))
}

/// As Lighthouse and Teku export it: complete, with and without signing roots.
pub fn complete() -> String {
    format!(
        r#"{{
  "metadata": {{ "interchange_format_version": "5", "genesis_validators_root": "{}" }},
  "data": [
    {{
      "pubkey": "{}",
      "signed_blocks": [ {{ "slot": "81952", "signing_root": "{}" }}, {{ "slot": "81951" }} ],
      "signed_attestations": [
        {{ "source_epoch": "2290", "target_epoch": "3007", "signing_root": "{}" }},
        {{ "source_epoch": "2291", "target_epoch": "3006" }}
      ]
    }},
    {{ "pubkey": "{}", "signed_blocks": [], "signed_attestations": [] }}
  ]
}}"#,
        chain(),
        validator(0xAB).to_uppercase().replace("0X", "0x"),
        root(1),
        root(2),
        validator(2)
    )
}

#[test]
fn a_complete_document_becomes_the_highest_of_each_validator() {
    let read = Interchange::read(complete().as_bytes()).unwrap();
    let signed = &read.validators[&validator(0xAB)];
    assert_eq!(signed.slot, Some(Last { at: 81952, root: Some(root(1)) }));
    assert_eq!(
        (signed.source, signed.target.clone()),
        (Some(2291), Some(Last { at: 3007, root: Some(root(2)) }))
    );
    assert_eq!(
        read.validators[&validator(2)],
        Signatures { chain: chain(), ..Signatures::default() }
    );
    let written = read.write();
    assert_eq!(Interchange::read(&written).unwrap(), read);
    let text = String::from_utf8(written).unwrap();
    assert!(text.contains("\"source_epoch\": \"2291\"") && !text.contains("81951"), "{text}");
}

#[test]
fn what_is_not_as_the_standard_says_is_refused() {
    let good = complete();
    let cases = [
        ("\"5\"", "\"4\"", "interchange format 4: only 5 is known"),
        ("\"81952\"", "81952", "not an EIP-3076 interchange document: "),
        ("\"81952\"", "\"-1\"", "slot `-1` is not a number"),
        ("\"81952\"", "\"+1\"", "slot `+1` is not a number"),
        ("\"81952\"", "\"18446744073709551616\"", "slot `18446744073709551616` is not a number"),
        ("\"2291\"", "\"3008\"", "validator 0xabab"),
        ("0x0404", "0x04", "genesis_validators_root `0x04"),
        ("0x0202", "0202", "pubkey `02"),
        (
            "\"signed_blocks\": [],",
            "",
            "not an EIP-3076 interchange document: missing field `signed_blocks`",
        ),
        (
            "\"signed_blocks\": [],",
            "\"signed_blocks\": [], \"more\": 1,",
            "not an EIP-3076 interchange document: unknown field `more`",
        ),
    ];
    for (from, to, message) in cases {
        let at = good.rfind(from).unwrap();
        let bad = format!("{}{to}{}", &good[..at], &good[at + from.len()..]);
        let error = Interchange::read(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{message}: {error}");
    }
    for length in 0..good.len() {
        assert!(Interchange::read(&good.as_bytes()[..length]).is_err());
    }
}

#[test]
fn two_chains_are_never_merged() {
    let one = Interchange { chain: chain(), validators: BTreeMap::new() };
    let other = Interchange { chain: root(9), validators: BTreeMap::new() };
    assert!(matches!(one.merge(&other), Err(Unfit::Chains { .. })));
}

fn last() -> impl Strategy<Value = Option<Last>> {
    prop::option::of(
        (0..4_u64, prop::option::of(0..3_u8))
            .prop_map(|(at, number)| Last { at, root: number.map(root) }),
    )
}

fn interchange() -> impl Strategy<Value = Interchange> {
    let signed = (0..4_u64, last(), last()).prop_map(|(source, target, slot)| {
        // Documents say source and target together.
        let source = target.as_ref().map(|target| source.min(target.at));
        Signatures { chain: chain(), source, target, slot }
    });
    prop::collection::btree_map((0..3_u8).prop_map(validator), signed, 0..4)
        .prop_map(|validators| Interchange { chain: chain(), validators })
}

fn is_lower(one: &Interchange, than: &Interchange) -> bool {
    let numbers = |signed: &Signatures| {
        (
            signed.source,
            signed.target.as_ref().map(|last| last.at),
            signed.slot.as_ref().map(|last| last.at),
        )
    };
    than.validators.iter().any(|(key, signed)| {
        let (source, target, slot) = numbers(signed);
        one.validators
            .get(key)
            .map(numbers)
            .is_none_or(|(s, t, b)| s < source || t < target || b < slot)
    })
}

proptest! {
    #[test]
    fn merging_keeps_its_laws(a in interchange(), b in interchange(), c in interchange()) {
        let merge = |one: &Interchange, other: &Interchange| one.merge(other).unwrap();
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a.clone());
        prop_assert!(!is_lower(&merge(&a, &b), &a) && !is_lower(&merge(&a, &b), &b));
    }

    #[test]
    fn what_is_written_is_read_back(a in interchange()) {
        prop_assert_eq!(Interchange::read(&a.write()).unwrap(), a);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Interchange::read(&bytes).is_err());
    }
}
