#!/bin/sh
# Puts the virtual host's kernel into BUILD/host: vmlinux, the modules it needs in loading order, and their version.
# From the distribution's own package, which is unpacked there and installed nowhere. Nothing to do when it is there.
# Usage: fetch-kernel.sh BUILD
set -eu
host=$1/host
[ -f "$host/version" ] && exit 0

meta=linux-image-cloud-amd64
modules="virt/lib/irqbypass arch/x86/kvm/kvm arch/x86/kvm/kvm-amd drivers/virtio/virtio_ring drivers/virtio/virtio \
drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci drivers/char/virtio_console"

work=$host.part
rm -rf "$work"
mkdir -p "$work/deb" "$work/modules"
trap 'rm -rf "$work"' EXIT

kernel_package() { apt-cache depends "$meta" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1; }
package=$(kernel_package)
[ -n "$package" ] || { apt-get update || sudo -n apt-get update; package=$(kernel_package); }
[ -n "$package" ] || { echo "no kernel package behind $meta: run apt-get update as root" >&2; exit 1; }
(cd "$work/deb" && apt-get download "$package")
dpkg -x "$work"/deb/*.deb "$work/tree"

image=$(echo "$work"/tree/boot/vmlinuz-*)
version=${image##*/vmlinuz-}
for module in $modules; do
    found=$(echo "$work/tree/lib/modules/$version/kernel/$module".ko*)
    name=${module##*/}
    case $found in
        *.ko) cp "$found" "$work/modules/$name.ko" ;;
        *.ko.xz) xz -dc "$found" >"$work/modules/$name.ko" ;;
        *.ko.zst) zstd -qdc "$found" >"$work/modules/$name.ko" ;;
        # Later kernels build some of these in.
        *) echo "module $name: none in the package, taken to be built in" ; continue ;;
    esac
    echo "$name.ko" >>"$work/modules/order"
done

# The bzImage holds a compressed vmlinux at payload_offset, payload_length (Documentation/arch/x86/boot.rst).
python3 - "$image" "$work/vmlinux" <<'PYTHON'
import struct, subprocess, sys
image = open(sys.argv[1], "rb").read()
setup = (image[0x1f1] or 4) + 1
offset, length = struct.unpack_from("<II", image, 0x248)
payload = image[setup * 512 + offset:][:length]
unpackers = {b"\x1f\x8b": ["gzip", "-dc"], b"\xfd7zXZ": ["xz", "-dc"], b"\x28\xb5\x2f\xfd": ["zstd", "-qdc"],
             b"\x02\x21\x4c\x18": ["lz4", "-dc"], b"\x04\x22\x4d\x18": ["lz4", "-dc"]}
for magic, command in unpackers.items():
    if payload.startswith(magic):
        # The last four bytes are the unpacked size, not part of the stream; some unpackers complain about them.
        size = struct.unpack("<I", payload[-4:])[0]
        kernel = subprocess.run(command, input=payload[:-4], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        break
else:
    sys.exit("the kernel's payload is compressed in an unknown way: " + payload[:6].hex())
if len(kernel) != size or not kernel.startswith(b"\x7fELF"):
    sys.exit(f"unpacking the kernel gave {len(kernel)} bytes instead of {size}")
open(sys.argv[2], "wb").write(kernel)
PYTHON
rm -rf "$work/deb" "$work/tree"
echo "$version" >"$work/version"
rm -rf "$host"
mv "$work" "$host"
trap - EXIT
