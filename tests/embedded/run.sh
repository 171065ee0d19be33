#!/usr/bin/env bash
# Trains the digits' networks, writes them as C in single precision and in 8 bits, and runs both on a Cortex-M4 and a
# Cortex-M7 in QEMU: the outputs must be those of `ksn`, in 8 bits bit by bit.
#
#     cargo build -p ksdsl --bin ksn
#     tests/embedded/run.sh [FOLDER]     the run folders and the C; a temporary folder by default
#
# Needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm; says that it is skipped where one is missing.
# `flash` and `RAM` are those of a program that has nothing but the network and what it needs of libc and libm, without
# inputs, outputs and stack.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in arm-none-eabi-gcc arm-none-eabi-size qemu-system-arm; do
    if ! command -v "$tool" >/dev/null; then
        echo "SKIPPED: $tool is not installed (apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm)"
        exit 0
    fi
done
ksn=${KSN:-target/debug/ksn}
samples=${SAMPLES:-40}
work=${1:-$(mktemp -d)}
here=tests/embedded
warnings=(-std=c99 -Wall -Wextra -pedantic -Werror)
declare -A cpu=(
    [mps2-an386]="-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16"
    [mps2-an500]="-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-d16"
)

# build NET ELEMENT FOLDER MACHINE: the program that checks, and the sizes of the one that has nothing else.
build() {
    local net=$1 element=$2 folder=$3 machine=$4 flags
    read -ra flags <<<"${cpu[$machine]}"
    flags+=(-O2 "-DNET=$net" "-DNET_FILE=\"$net.h\"" "-DELEMENT=$element" "-DSAMPLES_FILE=\"../int8/$net.samples.h\"")
    [[ $element == int8_t ]] && flags+=(-DINTEGER)
    arm-none-eabi-gcc "${flags[@]}" "${warnings[@]}" -I"$folder" "$folder/$net.c" "$here/check.c" -c
    mv "$net.o" "$folder/$machine.net.o"
    mv check.o "$folder/$machine.check.o"
    arm-none-eabi-gcc "${flags[@]}" "$folder/$machine.net.o" "$folder/$machine.check.o" "$here/startup.c" \
        --specs=rdimon.specs -T "$here/mps2.ld" -lm -o "$folder/$machine.check.elf"
    arm-none-eabi-gcc "${flags[@]}" -Os -I"$folder" "$folder/$net.c" "$here/firmware.c" --specs=nosys.specs -nostartfiles \
        -Wl,--gc-sections,-e,main -ffunction-sections -fdata-sections -lm -o "$folder/$machine.firmware.elf" 2>/dev/null
}

check() {
    local net=$1 element=$2 folder=$3 machine result
    for machine in mps2-an386 mps2-an500; do
        build "$net" "$element" "$folder" "$machine"
        result=$(timeout 600 qemu-system-arm -M "$machine" -nographic -semihosting-config enable=on,target=native \
            -kernel "$folder/$machine.check.elf" </dev/null)
        read -r text data bss _ < <(arm-none-eabi-size "$folder/$machine.firmware.elf" | tail -1)
        printf '%-18s %-7s %-11s flash %7d  RAM %7d  %s\n' "$net" "$element" "$machine" $((text + data)) $((data + bss)) \
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
