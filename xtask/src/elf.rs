//! Just enough of ELF to tell whether a binary needs a dynamic linker.

/// Whether a 64-bit little-endian ELF file has a `PT_INTERP` program header; `None` if it is no such file.
pub fn needs_interpreter(bytes: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(array(bytes, 32)?)).ok()?;
    let entry_size = usize::from(u16::from_le_bytes(array(bytes, 54)?));
    let count = usize::from(u16::from_le_bytes(array(bytes, 56)?));
    for entry in 0..count {
        let at = table.checked_add(entry.checked_mul(entry_size)?)?;
        if u32::from_le_bytes(array(bytes, at)?) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_headers(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            file.extend_from_slice(&kind.to_le_bytes());
            file.extend_from_slice(&[0; 52]);
        }
        file
    }

    #[test]
    fn the_interpreter_header_is_found() {
        assert_eq!(needs_interpreter(&with_headers(&[1, 2])), Some(false));
        assert_eq!(needs_interpreter(&with_headers(&[6, 3, 1])), Some(true));
    }

    #[test]
    fn what_is_not_elf_or_is_cut_is_told_apart() {
        let whole = with_headers(&[1, 3]);
        assert_eq!(needs_interpreter(b"#!/bin/sh"), None);
        assert_eq!(needs_interpreter(&whole[..64 + 56]), None);
    }

    #[test]
    fn this_very_test_is_dynamic_or_not_but_parses() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(needs_interpreter(&own), Some(cfg!(not(target_feature = "crt-static"))));
    }
}
