//! The little of XML that S3 answers need: which text stands where.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Elements within elements; S3 needs four.
const MAX_DEPTH: usize = 16;

/// Calls `found` with the path of element names, as `Error/Code`, and the text of every element
/// when it ends. `None` if it is not well-formed XML with one complete root.
pub(super) fn each_element(bytes: &[u8], mut found: impl FnMut(&str, &str)) -> Option<()> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    // Where the names of the open elements end in `path`, and the text of each so far.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut path = String::new();
    let mut is_complete = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                if open.len() == MAX_DEPTH || is_complete {
                    return None;
                }
                open.push((path.len(), String::new()));
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(std::str::from_utf8(element.local_name().into_inner()).ok()?);
            }
            Event::End(_) => {
                let (before, text) = open.pop()?;
                found(&path, &text);
                path.truncate(before);
                is_complete = open.is_empty();
            }
            Event::Text(text) => append(&mut open, &text.decode().ok()?),
            Event::CData(text) => append(&mut open, &text.decode().ok()?),
            Event::GeneralRef(name) => append(&mut open, &referred(&name)?.to_string()),
            Event::Eof => return is_complete.then_some(()),
            Event::DocType(_) => return None,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn append(open: &mut [(usize, String)], text: &str) {
    if let Some((_, so_far)) = open.last_mut() {
        so_far.push_str(text);
    }
}

fn referred(name: &BytesRef<'_>) -> Option<char> {
    if let Some(character) = name.resolve_char_ref().ok()? {
        return Some(character);
    }
    Some(match name.decode().ok()?.as_ref() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(xml: &str) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        each_element(xml.as_bytes(), |path, text| all.push((path.to_owned(), text.to_owned())))?;
        Some(all)
    }

    #[test]
    fn texts_are_found_by_their_path() {
        let xml = "<?xml version=\"1.0\"?><a xmlns=\"x\"><n:b>1 &amp; &#x32;<!-- no --><![CDATA[<3>]]></n:b><c/><b>4</b></a>";
        let expected = [("a/b", "1 & 2<3>"), ("a/b", "4"), ("a", "")];
        let found = elements(xml).unwrap();
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn garbage_is_refused() {
        let deep = "<a>".repeat(100_000);
        let bomb = "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
        let cases = [
            "",
            "no xml",
            "<a>",
            "<a><b></a>",
            "</a>",
            "<a>&other;</a>",
            "<a/>",
            "<a></a><a></a>",
            &deep,
            bomb,
        ];
        for xml in cases {
            assert_eq!(elements(xml), None, "{}", xml.get(..20).unwrap_or(xml));
        }
        assert!(each_element(&[0xff, 0xfe], |_, _| ()).is_none());
    }
}
