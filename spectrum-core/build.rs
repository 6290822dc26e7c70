//! Generates the messages of the wire from `proto/spectrum.proto`, without a protoc, and which of their fields are messages.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

const PROTO: &str = "proto/spectrum.proto";

/// `FieldDescriptorProto.Type.TYPE_MESSAGE`.
const TYPE_MESSAGE: i32 = 11;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;

    // So that fields can be counted before anything is allocated for them.
    let file = descriptors.file.first().ok_or("the protocol file is missing")?;
    let mut tables = String::from("const MESSAGES: &[&[(u32, usize)]] = &[\n");
    let mut impls = String::new();
    for (index, message) in file.message_type.iter().enumerate() {
        tables.push_str("    &[");
        for field in message.field.iter().filter(|field| field.r#type == Some(TYPE_MESSAGE)) {
            let child = field.type_name().rsplit('.').next().unwrap_or_default();
            let child = file
                .message_type
                .iter()
                .position(|m| m.name() == child)
                .ok_or("a message of another file")?;
            write!(tables, "({}, {child}), ", field.number())?;
        }
        tables.push_str("],\n");
        writeln!(
            impls,
            "impl Counted for super::proto::{} {{ const INDEX: usize = {index}; }}",
            message.name()
        )?;
    }
    tables.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("fields.rs"), tables + &impls)?;

    prost_build::Config::new()
        // Pictures and texts are slices of the frame they came in; nothing is copied before it is looked at.
        .bytes(["."])
        .skip_debug(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
