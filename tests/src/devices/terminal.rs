//! A serial port that is a pseudo-terminal, seen from the device: plugged in under a name, which is a link, as udev has them.
//!
//! Parity, handshake lines and baud rate do not exist on a pseudo-terminal; what was set of them can be read.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, write};

/// The device's end. Who drops it pulls the plug.
#[derive(Debug)]
pub struct Terminal {
    master: PtyMaster,
    /// The kernel's name for it, `/dev/pts/7`.
    pub name: String,
}

impl Terminal {
    /// Makes a pseudo-terminal and points the link `port` to it.
    ///
    /// # Errors
    /// None can be had, or the link cannot be made.
    pub fn plug_in(port: &Path) -> anyhow::Result<Self> {
        let terminal = Self::make()?;
        terminal.link(port)?;
        Ok(terminal)
    }

    /// Makes one that has only the kernel's name.
    ///
    /// # Errors
    /// None can be had.
    pub fn make() -> anyhow::Result<Self> {
        // Close-on-exec from the start: a child of ours that held it too would keep the port from ever hanging up.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).context("a pseudo-terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname_r(&master)?;
        let slave =
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&name)?;
        let mut settings = tcgetattr(&slave)?;
        // Otherwise the terminal would echo and translate line ends.
        cfmakeraw(&mut settings);
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        Ok(Self { master, name })
    }

    /// Points the link `port` to it, in one step.
    ///
    /// # Errors
    /// The link cannot be made.
    pub fn link(&self, port: &Path) -> anyhow::Result<()> {
        let fresh = port.with_extension("new");
        std::os::unix::fs::symlink(&self.name, &fresh).context("the port's link")?;
        Ok(std::fs::rename(&fresh, port)?)
    }

    /// Whether somebody has the other side open.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_held(&self) -> anyhow::Result<bool> {
        Ok(!self.poll(PollFlags::POLLOUT)?.contains(PollFlags::POLLHUP))
    }

    /// Whether something can be written without waiting for somebody to read.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn has_room(&self) -> anyhow::Result<bool> {
        Ok(self.poll(PollFlags::POLLOUT)?.contains(PollFlags::POLLOUT))
    }

    /// Writes; how much was taken.
    ///
    /// # Errors
    /// Nobody has the other side open.
    pub fn write(&self, bytes: &[u8]) -> nix::Result<usize> {
        write(self.master.as_fd(), bytes)
    }

    /// What was written to it, if anything was.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn heard(&self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        if !self.poll(PollFlags::POLLIN)?.contains(PollFlags::POLLIN) {
            return Ok(0);
        }
        // Who let go of the port in between has said nothing.
        Ok(read(self.master.as_fd(), buffer).unwrap_or_default())
    }

    /// Bits a second that the other side has set; nothing here runs at it.
    ///
    /// # Errors
    /// It cannot be asked.
    #[expect(
        unsafe_code,
        reason = "TCGETS2 has no safe wrapper, and termios(3) knows only the speeds of POSIX; it fills the struct it is given"
    )]
    pub fn speed(&self) -> anyhow::Result<u32> {
        // SAFETY: all fields of `termios2` are integers, for which zero is a value, and the pointer is to a live one.
        let (result, settings) = unsafe {
            let mut settings: nix::libc::termios2 = std::mem::zeroed();
            let result = nix::libc::ioctl(self.master.as_raw_fd(), nix::libc::TCGETS2, &raw mut settings);
            (result, settings)
        };
        nix::errno::Errno::result(result).context("the settings of the line")?;
        Ok(settings.c_ospeed)
    }

    fn poll(&self, wanted: PollFlags) -> anyhow::Result<PollFlags> {
        let mut polled = [PollFd::new(self.master.as_fd(), wanted)];
        poll(&mut polled, PollTimeout::ZERO)?;
        Ok(polled[0].revents().unwrap_or(PollFlags::POLLHUP))
    }
}
