//! Compiles the client protocol's schema with protox, so that nobody needs a protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    let schema = "roomkeeper/client/v1/client.proto";
    println!("cargo::rerun-if-changed={root}/{schema}");
    let files = protox::compile([schema], [root])?;
    prost_build::Config::new()
        // Slices of the received frame instead of copies.
        .bytes(["."])
        // Maps in one order, so that a value has one encoding.
        .btree_map(["."])
        // The schema is where its comments are read; as doc comments they would be tried as doc tests.
        .disable_comments(["."])
        .compile_fds(files)?;
    Ok(())
}
