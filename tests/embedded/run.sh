#!/usr/bin/env bash
# Trains the digits' networks, writes them as C in single precision and in 8 bits, and runs both in QEMU on a Cortex-M4, a
# Cortex-M7 and RISC-V of 32 and 64 bits: the outputs must be those of `ksn`, in 8 bits bit by bit.
#
#     cargo build -p ksdsl --bin ksn
#     tests/embedded/run.sh [FOLDER]     the run folders and the C; a temporary folder by default
#
# Needs for Arm gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm, for RISC-V gcc-riscv64-unknown-elf,
# picolibc-riscv64-unknown-elf and qemu-system-misc; says which machines are skipped because a tool is missing.
# `flash` and `RAM` are those of a program that has nothing but the network and what it needs of libc and libm, without
# inputs, outputs and stack.
set -euo pipefail
cd "$(dirname "$0")/../.."

ksn=${KSN:-target/debug/ksn}
samples=${SAMPLES:-40}
work=${1:-$(mktemp -d)}
here=tests/embedded
warnings=(-std=c99 -Wall -Wextra -pedantic -Werror)
semihosting=(-nographic -semihosting-config "enable=on,target=native" -kernel)

# machine NAME: sets the compiler's prefix, its flags, what programs are linked with, and QEMU with its arguments.
machine() {
    case $1 in
        mps2-an386) arm "$1" -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 ;;
        mps2-an500) arm "$1" -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16 ;;
        riscv32) riscv "$1" -march=rv32imac -mabi=ilp32 ;;
        riscv64) riscv "$1" -march=rv64imafdc -mabi=lp64d ;;
    esac
}

arm() {
    prefix=arm-none-eabi
    packages="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
    flags=(-mthumb "${@:2}")
    check_with=("$here/startup.c" --specs=rdimon.specs -T "$here/mps2.ld")
    firmware_with=(--specs=nosys.specs)
    qemu=(qemu-system-arm -M "$1")
}

riscv() {
    prefix=riscv64-unknown-elf
    packages="gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
    flags=(--specs=picolibc.specs -mcmodel=medany "${@:2}")
    # QEMU's `virt` has RAM from here on, all of which can be executed.
    check_with=(--oslib=semihost --crt0=hosted "-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M"
        "-Wl,--defsym=__ram=0x80400000,--defsym=__ram_size=4M")
    firmware_with=("-Wl,--defsym=__flash_size=4M,--defsym=__ram_size=4M")
    qemu=("qemu-system-$1" -M virt -bios none)
}

machines=()
for name in mps2-an386 mps2-an500 riscv32 riscv64; do
    machine "$name"
    missing=
    for tool in "$prefix-gcc" "$prefix-size" "${qemu[0]}"; do
        command -v "$tool" >/dev/null || missing+=" $tool"
    done
    if [[ -n $missing ]]; then
        echo "SKIPPED: $name, without$missing (apt-get install $packages)"
    else
        machines+=("$name")
    fi
done
[[ ${#machines[@]} -gt 0 ]] || exit 0

# build NET ELEMENT FOLDER MACHINE: the program that checks, and the one that has nothing else.
build() {
    local net=$1 element=$2 folder=$3 name=$4 gcc
    gcc=("$prefix-gcc" "${flags[@]}" "-DNET=$net" "-DNET_FILE=\"$net.h\"" "-DELEMENT=$element"
        "-DSAMPLES_FILE=\"../int8/$net.samples.h\"" -I"$folder")
    [[ $element == int8_t ]] && gcc+=(-DINTEGER)
    "${gcc[@]}" -O2 "${warnings[@]}" "$folder/$net.c" -c -o "$folder/$name.net.o"
    "${gcc[@]}" -O2 "${warnings[@]}" "$here/check.c" -c -o "$folder/$name.check.o"
    "${gcc[@]}" -O2 "$folder/$name.net.o" "$folder/$name.check.o" "${check_with[@]}" -lm -o "$folder/$name.check.elf"
    "${gcc[@]}" -Os "$folder/$net.c" "$here/firmware.c" "${firmware_with[@]}" -nostartfiles \
        -Wl,--gc-sections,-e,main -ffunction-sections -fdata-sections -lm -o "$folder/$name.firmware.elf" 2>/dev/null
}

check() {
    local net=$1 element=$2 folder=$3 name result stack
    for name in "${machines[@]}"; do
        machine "$name"
        build "$net" "$element" "$folder" "$name"
        result=$(timeout 600 "${qemu[@]}" "${semihosting[@]}" "$folder/$name.check.elf" </dev/null 2>&1)
        read -r text data bss _ < <("$prefix-size" "$folder/$name.firmware.elf" | tail -1)
        # Picolibc's linker script reserves a stack.
        stack=$("$prefix-size" -A "$folder/$name.firmware.elf" | awk '$1 == ".stack" { print $2 }')
        printf '%-18s %-7s %-11s flash %7d  RAM %7d  %s\n' "$net" "$element" "$name" $((text + data)) $((data + bss - stack)) \
            "$result"
    done
}

for net in ${NETS:-digits_shared digits_unshared}; do
    runs=$work/$net
    compgen -G "$runs/*/run.json" >/dev/null ||
        "$ksn" train examples/nets/digits.ksn --net "$net" --data digits --out "$runs" ${EPOCHS:+--epochs "$EPOCHS"}
    run=$(dirname "$(compgen -G "$runs/*/run.json" | head -1)")
    mkdir -p "$run/f32" "$run/int8"
    "$ksn" quantize "$run" -o "$run/int8/$net.c" --samples "$samples"
    "$ksn" export c examples/nets/digits.ksn --net "$net" --weights "$run/best.safetensors" -o "$run/f32/$net.c"
    check "$net" float "$run/f32"
    check "$net" int8_t "$run/int8"
done
