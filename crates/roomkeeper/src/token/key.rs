//! `roomkeeper token key`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use roomkeeper_auth::KeyPair;

/// Flags of `token key`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// eddsa: a private key that makes tokens and a public one for the nodes; hs256: one secret, for development
    #[arg(long, value_enum, ignore_case = true, default_value = "eddsa")]
    algorithm: AlgorithmArg,
    /// The new file; a public key goes beside it, FILE.pub
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AlgorithmArg {
    Eddsa,
    Hs256,
}

/// Writes the key and says what to do with it.
pub(super) fn run(args: &KeyArgs) -> Result<()> {
    // Nodes run elsewhere than this shell.
    let out = std::path::absolute(&args.out)?;
    let out = out.display();
    match args.algorithm {
        AlgorithmArg::Eddsa => {
            let pair = KeyPair::of_seed(&rand::random())?;
            let public = public_path(&args.out);
            write_new(&args.out, &pair.private_pem, 0o600)?;
            write_new(&public, &pair.public_pem, 0o644)?;
            let public = std::path::absolute(public)?;
            let public = public.display();
            println!("{out} makes tokens: keep it where they are issued, and nowhere else.");
            println!("{public} checks them: copy it to every node, and set there");
            println!("    auth.keys = [\"main EdDSA file:{public}\"]");
        }
        AlgorithmArg::Hs256 => {
            let secret: [u8; 32] = rand::random();
            let mut text = String::with_capacity(65);
            for byte in secret {
                text.push_str(&format!("{byte:02x}"));
            }
            text.push('\n');
            write_new(&args.out, &text, 0o600)?;
            println!(
                "{out} makes and checks tokens: whoever has it can be anybody. Copy it to every node, and set there"
            );
            println!("    auth.keys = [\"main HS256 file:{out}\"]");
        }
    }
    println!("Then, for example:");
    println!(
        "    roomkeeper token create --key {out} --kid main --sub ann --rooms 'chat.*' --actions publish,subscribe --ttl 1h"
    );
    Ok(())
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// A key that is there already is not lost.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use roomkeeper_auth::{Algorithm, SigningKey, VerifyingKey};

    use super::*;

    #[test]
    fn keys_fit_each_other_and_are_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        for (algorithm, name) in [(AlgorithmArg::Eddsa, "ed"), (AlgorithmArg::Hs256, "hs")] {
            let args = KeyArgs { algorithm, out: folder.path().join(name) };
            run(&args).unwrap();
            let private = std::fs::read_to_string(&args.out).unwrap();
            assert_eq!(std::fs::metadata(&args.out).unwrap().permissions().mode() & 0o777, 0o600);
            SigningKey::read(&private).unwrap();
            match algorithm {
                AlgorithmArg::Eddsa => {
                    let public = std::fs::read_to_string(public_path(&args.out)).unwrap();
                    VerifyingKey::read(Algorithm::EdDsa, &public).unwrap();
                }
                AlgorithmArg::Hs256 => drop(VerifyingKey::read(Algorithm::Hs256, &private).unwrap()),
            }
            assert!(run(&args).is_err());
            assert_eq!(std::fs::read_to_string(&args.out).unwrap(), private);
        }
    }
}
