//! Images of throwaway hosts: built once by mmdebstrap, kept in podman's store under a digest of their recipe.
//!
//! An image holds no host keys and nothing of synprov's own doing: what synprov provisions must
//! come by synprov. Never in this file: anything about one particular lab.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::process::{failure, output, run};
use super::{Distro, Flavour, LabError};

const BARE: &[&str] =
    &["systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "ca-certificates"];
const WARM: &[&str] = &["python3-venv", "postgresql", "redis-server", "nginx"];
const REPOSITORY: &str = "localhost/synprov-lab";

/// Run by mmdebstrap with the root directory as its argument.
///
/// Host keys are made at first boot: baked in, all hosts would share one. apt's timers would take
/// the package lock at random times. Disabled services are what lets a warm host be as quiet as
/// one where apt ran under a policy-rc.d. Which index pip uses by itself is asked of the very pip
/// that the release ships: hosts have none yet when the packet filter must know.
const CUSTOMIZE: &str = r#"#!/bin/sh
set -eu
chroot "$1" sh -c 'cd /tmp && apt-get --quiet download python3-pip-whl'
dpkg-deb --extract "$1"/tmp/python3-pip-whl_*.deb "$1/tmp/pip"
perl -e '
  use IO::Uncompress::Unzip qw(unzip $UnzipError);
  unzip $ARGV[0] => \my $text, Name => "pip/_internal/models/index.py" or die "pip: $UnzipError\n";
  my ($url, $files) = $text =~ /^PyPI = PackageIndex\(\s*"([^"]+)",\s*file_storage_domain="([^"]+)"/m
    or die "pip does not say which index it uses\n";
  print "$url\nhttps://$files/\n";
' "$1"/tmp/pip/usr/share/python-wheels/pip-*.whl > "$1/etc/synprov-lab.indexes"
rm -r "$1"/tmp/pip "$1"/tmp/python3-pip-whl_*.deb
rm -f "$1"/etc/ssh/ssh_host_*
: > "$1/etc/machine-id"
: > "$1/etc/resolv.conf"
cat > "$1/etc/systemd/system/lab-host-keys.service" <<'UNIT'
[Unit]
Description=SSH host keys of a throwaway host
Before=ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
UNIT
chroot "$1" systemctl enable lab-host-keys.service
chroot "$1" systemctl disable apt-daily.timer apt-daily-upgrade.timer
for service in postgresql redis-server nginx; do
  if [ -e "$1/lib/systemd/system/$service.service" ]; then chroot "$1" systemctl disable "$service.service"; fi
done
"#;

/// The image's name in podman's store; builds it first if it is not there (about 40 s).
///
/// `folder` is where the lock lies that keeps two processes from building the same image.
pub(super) fn ensure(distro: Distro, flavour: Flavour, folder: &Path) -> Result<String, LabError> {
    let packages = match flavour {
        Flavour::Bare => BARE.join(","),
        Flavour::Warm => [BARE, WARM].concat().join(","),
    };
    let recipe = format!("{}\n{packages}\n{CUSTOMIZE}", distro.suite());
    let digest = crate::secret::sha256_hex(recipe.as_bytes());
    let prefix = format!("{REPOSITORY}:{}-{}-", distro.name(), flavour.name());
    let image = format!("{prefix}{}", &digest[..12]);
    if exists(&image)? {
        return Ok(image);
    }
    let path = folder.join("images.lock");
    let lock = File::create(&path).map_err(LabError::io(format!("create {}", path.display())))?;
    lock.lock().map_err(LabError::io(format!("lock {}", path.display())))?;
    if !exists(&image)? {
        build(&image, distro, &packages)?;
        remove_older(&prefix, &image)?;
    }
    Ok(image)
}

/// Whether podman has it.
fn exists(image: &str) -> Result<bool, LabError> {
    let args = ["image", "exists", image];
    Ok(output("look for an image", "podman", &args, b"", Duration::from_secs(60))?.status.success())
}

/// mmdebstrap into a file, podman import out of it.
fn build(image: &str, distro: Distro, packages: &str) -> Result<(), LabError> {
    tracing::info!(image, "building an image, about 40 s");
    // Not /tmp: it may be a tmpfs smaller than the 300 MB of a root file system.
    let folder = tempfile::Builder::new()
        .prefix("synprov-lab-")
        .tempdir_in("/var/tmp")
        .map_err(LabError::io("create a folder under /var/tmp"))?;
    let (hook, tar) = (folder.path().join("customize"), folder.path().join("root.tar"));
    std::fs::write(&hook, CUSTOMIZE).map_err(LabError::io(format!("write {}", hook.display())))?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))
        .map_err(LabError::io(format!("chmod {}", hook.display())))?;
    let (hook, tar) = (hook.display().to_string(), tar.display().to_string());
    let include = format!("--include={packages}");
    let customize = format!("--customize-hook={hook}");
    let args = ["--quiet", "--variant=minbase", &include, &customize, distro.suite(), &tar];
    let what = format!("build an image of {}", distro.name());
    let made = output(&what, "mmdebstrap", &args, b"", Duration::from_secs(900))?;
    if !made.status.success() {
        // Its last line only says that it failed.
        return Err(LabError::Command { what, reason: failure(&made, 3) });
    }
    run(&what, "podman", &["import", "--quiet", &tar, image], b"", Duration::from_secs(300))?;
    Ok(())
}

/// Images of former recipes; those that hosts still run from stay.
fn remove_older(prefix: &str, newest: &str) -> Result<(), LabError> {
    let what = "remove images of former recipes";
    let args = ["images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY];
    let list = run(what, "podman", &args, b"", Duration::from_secs(60))?;
    for image in list.lines().filter(|image| image.starts_with(prefix) && *image != newest) {
        output(what, "podman", &["rmi", image], b"", Duration::from_secs(60))?;
    }
    Ok(())
}
