//! Compiles the peer protocol, without a protoc install.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}/roomkeeper/peer/v1/peer.proto");
    let descriptors = protox::compile(["roomkeeper/peer/v1/peer.proto"], [root])?;
    tonic_prost_build::configure().bytes(".roomkeeper.peer.v1").compile_fds(descriptors)?;
    Ok(())
}
