// Rust: mmap of the C library, and a slice over the elements. (The crate memmap2 wraps the same.)
use std::{env, error::Error, ffi::c_void, fs::OpenOptions, io, os::unix::io::AsRawFd, ptr, slice};

extern "C" {
    fn mmap(addr: *mut c_void, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> *mut c_void;
}
const PROT_READ_WRITE: i32 = 1 | 2;
const MAP_SHARED: i32 = 1;

/// The elements of a float64 array, mapped for as long as the process lives.
fn map_array(path: &str) -> Result<&'static mut [f64], Box<dyn Error>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let size = file.metadata()?.len() as usize;
    // Safety: the whole file is mapped, and nobody makes an array shorter while it is.
    let bytes = unsafe {
        let address = mmap(ptr::null_mut(), size, PROT_READ_WRITE, MAP_SHARED, file.as_raw_fd(), 0);
        if address as isize == -1 {
            return Err(io::Error::last_os_error().into());
        }
        slice::from_raw_parts_mut(address as *mut u8, size)
    };
    if !bytes.starts_with(b"\x93NUMPY\x01") {
        return Err("no .npy file of version 1".into());
    }
    // Bytes 8 and 9 say how long the header is that begins at byte 10.
    let offset = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    // Safety: the data is aligned to 64 bytes, and every 8 bytes are a float64.
    let (_, elements, _) = unsafe { bytes[offset..].align_to_mut::<f64>() };
    Ok(elements)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let array = map_array(&arguments[1])?;
    println!("{}", array.iter().sum::<f64>());
    array[arguments[2].parse::<usize>()?] = arguments[3].parse()?;
    Ok(())
}
