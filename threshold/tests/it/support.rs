//! What the tests of files share.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use eth_types::ExecutionAddress;
use eth_types::network::Network;
use threshold::dealer::{
    ClusterParams, CreatedCluster, DEFAULT_TARGET_GAS_LIMIT, KeySource, create_cluster,
};

/// A published test vector, or `None` with a printed line where the folder of vectors is not there.
pub(crate) fn read_vector(folder: &str, name: &str) -> Option<String> {
    let path = vectors()?.join(folder).join(name);
    Some(fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// `shared/vectors` beside the workspace.
fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file())?;
    let folder = workspace.parent()?.join("shared/vectors");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no published vectors at {}", folder.display());
    None
}

/// A throwaway cluster of four nodes on hoodi, of which three sign.
pub(crate) fn params(cluster_dir: &Path, validators: usize) -> ClusterParams {
    ClusterParams {
        name: "test cluster".to_owned(),
        nodes: 4,
        threshold: None,
        keys: KeySource::Generate { validators },
        network: Network::by_name("hoodi").unwrap(),
        withdrawal_addresses: vec![ExecutionAddress::new([0x11; 20])],
        fee_recipient_addresses: vec![ExecutionAddress::new([0x22; 20])],
        deposit_amounts: None,
        target_gas_limit: DEFAULT_TARGET_GAS_LIMIT,
        compounding: false,
        insecure_keys: true,
        cluster_dir: cluster_dir.to_owned(),
    }
}

pub(crate) fn create(cluster_dir: &Path, validators: usize) -> CreatedCluster {
    create_cluster(&params(cluster_dir, validators), &|_| {}).unwrap()
}

/// An error and its sources in one line, as the program prints them; `dir` is shown as DIR.
pub(crate) fn chain(error: &dyn Error, dir: &Path) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line.replace(&dir.display().to_string(), "DIR")
}

/// Makes a file that the program left read-only writable, and writes it.
pub(crate) fn overwrite(path: &Path, content: impl AsRef<[u8]>) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    fs::write(path, content).unwrap();
    set_mode(path, 0o600);
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
