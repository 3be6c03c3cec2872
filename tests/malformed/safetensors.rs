//! `model.safetensors`: a row for each rule of the format, and files of the wrong length.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::config::open_model;
use super::{Case, SHARDED, SINGLE, check, copy};

const FILE: &str = "model.safetensors";
/// The last tensor of the good file: 30 f32 from byte 105360 of the data.
const NORM: &str = "model.norm.weight";

type Header = Map<String, Value>;

#[test]
fn safetensors_headers_are_refused_by_tensor() {
    check(cases(), || copy(SINGLE), open_model);
}

/// A row that replaces the header: an edit gives its text, or changes the map.
fn header(
    name: &str,
    mentions: &[&str],
    edit: impl Fn(&mut Header) -> Option<Vec<u8>> + 'static,
) -> Case {
    Case::new(name, mentions, move |folder| {
        let path = folder.join(FILE);
        let bytes = fs::read(&path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let text =
            edit(&mut header).unwrap_or_else(|| Value::Object(header).to_string().into_bytes());
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.extend(text);
        out.extend(&bytes[8 + length..]);
        fs::write(path, out).unwrap();
    })
}

fn set(field: &'static str, value: Value, mentions: &[&str]) -> Case {
    header(&format!("{field} = {value}"), mentions, move |header| {
        header[NORM][field] = value.clone();
        None
    })
}

fn text(name: &str, text: impl Into<Vec<u8>>, mentions: &[&str]) -> Case {
    let text = text.into();
    header(name, mentions, move |_| Some(text.clone()))
}

fn length(name: &str, mentions: &[&str], change: fn(u64) -> u64) -> Case {
    Case::new(name, mentions, move |folder| {
        resize(&folder.join(FILE), change)
    })
}

fn resize(path: &Path, change: fn(u64) -> u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(change(length)).unwrap();
}

/// A file of 8 bytes of length and 56 of zeros.
fn said_length(name: &str, length: u64, mentions: &[&str]) -> Case {
    let bytes = [length.to_le_bytes().as_slice(), &[0; 56]].concat();
    Case::content(name, FILE, bytes, mentions)
}

/// Every row.
pub fn cases() -> Vec<Case> {
    [fields(), tensors(), texts(), lengths()]
        .into_iter()
        .flatten()
        .collect()
}

fn fields() -> Vec<Case> {
    let far = 1_u64 << 40;
    vec![
        set("shape", json!([31]), &[FILE, NORM, "124", "120"]),
        set("shape", json!([]), &[FILE, NORM, "120", "4"]),
        set("shape", json!([0]), &[FILE, NORM, "120", "0 bytes"]),
        set("shape", json!([30, 1]), &[NORM, "[30, 1]", "[30]"]),
        set("shape", json!([far, far]), &[NORM, "overflow"]),
        set("shape", json!([u64::MAX]), &[NORM, "overflow"]),
        set("shape", json!([far, far, 0]), &[NORM, "overflow"]),
        set("shape", json!([-30]), &[FILE, "header", "-30"]),
        set("shape", json!([30.0]), &[FILE, "header", "30.0"]),
        set("shape", json!(30), &[FILE, "header", "sequence"]),
        set("shape", json!(null), &[FILE, "header", "null"]),
        set("dtype", json!("F64"), &[FILE, NORM, "240", "120"]),
        set("dtype", json!("BF16"), &[FILE, NORM, "60", "120"]),
        set("dtype", json!("F4"), &[FILE, NORM, "15", "120"]),
        set("dtype", json!("I32"), &[FILE, NORM, "I32", "BF16"]),
        set("dtype", json!("F7"), &[FILE, "header", "F7"]),
        set("dtype", json!(5), &[FILE, "header"]),
        set(
            "data_offsets",
            json!([far, far + 120]),
            &[FILE, NORM, "data_offsets"],
        ),
        set(
            "data_offsets",
            json!([u64::MAX, 119]),
            &[FILE, "data_offsets"],
        ),
        set(
            "data_offsets",
            json!([120, 0]),
            &[FILE, "data_offsets", "[120, 0]"],
        ),
        set("data_offsets", json!([0, 120]), &[FILE, "data_offsets"]),
        set(
            "data_offsets",
            json!([105356, 105476]),
            &[FILE, "105356", "105360"],
        ),
        set(
            "data_offsets",
            json!([105364, 105484]),
            &[FILE, NORM, "105364", "105360"],
        ),
        set("data_offsets", json!([105360]), &[FILE, "header", "length"]),
        set(
            "data_offsets",
            json!([105360, 105480, 0]),
            &[FILE, "header"],
        ),
        set("data_offsets", json!([-1, 119]), &[FILE, "header", "-1"]),
        set(
            "data_offsets",
            json!(["105360", "105480"]),
            &[FILE, "header"],
        ),
    ]
}

fn tensors() -> Vec<Case> {
    let drop_field = |field: &'static str| {
        header(&format!("no {field}"), &[FILE, "header", field], move |h| {
            h[NORM].as_object_mut().unwrap().remove(field);
            None
        })
    };
    vec![
        drop_field("dtype"),
        drop_field("shape"),
        drop_field("data_offsets"),
        header("a tensor less", &["file length", "105480", "105360"], |h| {
            h.remove(NORM);
            None
        }),
        header(
            "another name",
            &["model.norm.extra", "does not have"],
            |h| {
                let info = h.remove(NORM).unwrap();
                h.insert("model.norm.extra".into(), info);
                None
            },
        ),
        header("no name", &["does not have"], |h| {
            let info = h.remove(NORM).unwrap();
            h.insert(String::new(), info);
            None
        }),
        header(
            "a tensor of nothing more",
            &["lm_head.bias", "does not have"],
            |h| {
                let empty =
                    json!({ "dtype": "F32", "shape": [0], "data_offsets": [105480, 105480] });
                h.insert("lm_head.bias".into(), empty);
                None
            },
        ),
        header("the same bytes twice", &[FILE, "data_offsets"], |h| {
            let info = h[NORM].clone();
            h.insert("model.norm.again".into(), info);
            None
        }),
        header("a name twice", &[FILE, NORM, "twice"], |h| {
            let first =
                "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},";
            let text = Value::Object(h.clone()).to_string();
            Some(text.replacen('{', first, 1).into_bytes())
        }),
        header("a field twice", &[FILE, "header", "duplicate"], |h| {
            let text = Value::Object(h.clone()).to_string();
            Some(
                text.replacen("\"dtype\"", "\"shape\":[1],\"dtype\"", 1)
                    .into_bytes(),
            )
        }),
    ]
}

fn texts() -> Vec<Case> {
    vec![
        text("no tensors", "{}", &[FILE, "105480", "0 data bytes"]),
        text(
            "a number for a tensor",
            "{\"a\": 5}",
            &[FILE, "header", "JSON"],
        ),
        text("not JSON", "not json", &[FILE, "header", "JSON"]),
        text("empty header", "", &[FILE, "header", "EOF"]),
        text("spaces", "    ", &[FILE, "header", "EOF"]),
        text("a list", "[]", &[FILE, "header", "sequence"]),
        text("a space in front", " {\"a\"", &[FILE, "header"]),
        text(
            "text behind the object",
            "{} x",
            &[FILE, "header", "trailing"],
        ),
        text(
            "not UTF-8",
            b"{\"\xff\": 1}".as_slice(),
            &[FILE, "header byte 2", "UTF-8"],
        ),
        text(
            "lists in lists",
            "{\"a\":".to_string() + &"[".repeat(100_000),
            &[FILE, "header"],
        ),
        text(
            "shape in shapes",
            "{\"a\":{\"shape\":[[1]]}}",
            &[FILE, "header"],
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let cap = 100_000_000;
    vec![
        length("a byte less", &[FILE, "file length", "105479"], |n| n - 1),
        length("a byte more", &[FILE, "file length", "105481"], |n| n + 1),
        length("a half", &[FILE, "file length"], |n| n / 2),
        length("empty", &[FILE, "file length", "0"], |_| 0),
        length("one byte", &[FILE, "1", "8 bytes"], |_| 1),
        length("seven bytes", &[FILE, "7", "8 bytes"], |_| 7),
        length(
            "the length alone",
            &[FILE, "header length", "0 bytes"],
            |_| 8,
        ),
        length("100 bytes", &[FILE, "header length", "92"], |_| 100),
        said_length(
            "header of 2^64",
            u64::MAX,
            &["header length", "18446744073709551615", "100000000"],
        ),
        said_length(
            "header over the cap",
            cap + 1,
            &["header length", "100000001", "100000000"],
        ),
        said_length(
            "header at the cap",
            cap,
            &[FILE, "header length", "100000000", "56"],
        ),
        said_length(
            "header to the end and one more",
            57,
            &[FILE, "header length", "57", "56"],
        ),
        said_length(
            "header of 2^63",
            1 << 63,
            &["header length", "9223372036854775808"],
        ),
        said_length("header of zeros", 56, &[FILE, "header", "JSON"]),
        Case::new("a folder", &[FILE], |folder| {
            fs::remove_file(folder.join(FILE)).unwrap();
            fs::create_dir(folder.join(FILE)).unwrap();
        }),
        Case::new("no file", &["neither file", FILE], |folder| {
            fs::remove_file(folder.join(FILE)).unwrap();
        }),
    ]
}

/// Every prefix of a checkpoint is refused, at points through the header and the data.
#[test]
fn truncation_is_refused_everywhere() {
    for (from, file) in [
        (SINGLE, FILE),
        (SHARDED, "model-00002-of-00003.safetensors"),
    ] {
        let folder = copy(from);
        let path = folder.path().join(file);
        let bytes = fs::read(&path).unwrap();
        let mut refusals = 0;
        for length in (0..bytes.len()).step_by(bytes.len() / 300) {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = open_model(folder.path()).expect_err("a truncated file");
            assert!(error.to_string().contains(file), "{error}");
            refusals += 1;
        }
        assert!(refusals >= 300);
    }
}
