//! Turns `hookplane/v1/*.proto` into Rust, without protoc.
//!
//! The messages that people write in manifests and connector files also get serde: camelCase names, unknown fields refused,
//! empty fields left out. There is no second set of structs for YAML.

use std::path::PathBuf;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use tonic_prost_build::manual;

/// The files whose messages appear in manifests.
const MANIFEST_FILES: [&str; 7] = [
    "metadata",
    "org",
    "connector",
    "webhook_group",
    "webhook",
    "mapping",
    "destination",
];

/// Held in these fields are sealed secrets: no text form reads or writes them.
const SEALED_FIELDS: [&str; 2] = ["sealed", "sealed_parameters"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("hookplane/v1")?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    println!("cargo:rerun-if-changed=hookplane");
    let descriptors = protox::compile(&files, ["."])?;

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;

    let grpc = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let mut config = tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        .bytes(".")
        .btree_map(".");
    for (path, attributes) in manifest_attributes(&descriptors) {
        config = match path {
            Path::Message(path) => config.message_attribute(path, attributes),
            Path::Field(path) => config.field_attribute(path, attributes),
        };
    }
    config.compile_fds(descriptors)?;
    if grpc {
        encoded_config_service();
        bounded_report_service();
    }
    Ok(())
}

/// `ConfigService` once more, for the server alone, with responses whose resources are bytes: see `src/encoded_config.rs`.
fn encoded_config_service() {
    let method = |name: &str, route: &str| {
        manual::Method::builder()
            .name(name)
            .route_name(route)
            .codec_path("tonic_prost::ProstCodec")
    };
    let service = manual::Service::builder()
        .package("hookplane.v1")
        .name("ConfigService")
        .method(
            method("stream_config", "StreamConfig")
                .input_type("crate::v1::StreamConfigRequest")
                .output_type("crate::encoded_config::StreamConfigResponse")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .method(
            method("list_listeners", "ListListeners")
                .input_type("crate::v1::ListListenersRequest")
                .output_type("crate::v1::ListListenersResponse")
                .build(),
        )
        .build();
    manual::Builder::new()
        .build_client(false)
        .compile(&[service]);
}

/// `ReportService` once more, for the server alone, with requests that are bounded before they are decoded: see `src/bounded_report.rs`.
fn bounded_report_service() {
    let service = manual::Service::builder()
        .package("hookplane.v1")
        .name("ReportService")
        .method(
            manual::Method::builder()
                .name("report")
                .route_name("Report")
                .codec_path("crate::bounded_report::Codec")
                .input_type("crate::v1::ReportRequest")
                .output_type("crate::v1::ReportResponse")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .build();
    manual::Builder::new()
        .build_client(false)
        .compile(&[service]);
}

enum Path {
    Message(String),
    Field(String),
}

fn manifest_attributes(descriptors: &FileDescriptorSet) -> Vec<(Path, String)> {
    let mut attributes = Vec::new();
    for file in &descriptors.file {
        let name = file
            .name()
            .trim_start_matches("hookplane/v1/")
            .trim_end_matches(".proto");
        if !MANIFEST_FILES.contains(&name) {
            continue;
        }
        for message in &file.message_type {
            if message.name().ends_with("Request") || message.name().ends_with("Response") {
                continue;
            }
            of_message(message, &mut attributes);
        }
    }
    attributes
}

fn of_message(message: &DescriptorProto, attributes: &mut Vec<(Path, String)>) {
    let path = format!(".hookplane.v1.{}", message.name());
    attributes.push((
        Path::Message(path.clone()),
        "#[derive(serde::Serialize, serde::Deserialize)]\n\
         #[serde(rename_all = \"camelCase\", deny_unknown_fields, default)]"
            .to_owned(),
    ));
    for field in &message.field {
        attributes.push((
            Path::Field(format!("{path}.{}", field.name())),
            of_field(field),
        ));
    }
}

fn of_field(field: &FieldDescriptorProto) -> String {
    if SEALED_FIELDS.contains(&field.name()) {
        return "#[serde(skip)]".to_owned();
    }
    let mut parts = Vec::new();
    // A false that is not shown reads like a forgotten one, so booleans always are.
    if field.r#type() != Type::Bool {
        parts.push("skip_serializing_if = \"crate::serde_forms::is_default\"".to_owned());
    }
    let single = field.label() != Label::Repeated;
    match (field.r#type(), field.type_name()) {
        (Type::Enum, name) => {
            let module = name.rsplit('.').next().unwrap_or_default();
            parts.push(format!(
                "with = \"crate::serde_forms::{}\"",
                snake_case(module)
            ));
        }
        (Type::Message, ".google.protobuf.Timestamp") if single => {
            parts.push("with = \"crate::serde_forms::timestamp\"".to_owned());
        }
        _ => {}
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("#[serde({})]", parts.join(", "))
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
