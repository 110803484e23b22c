#!/usr/bin/env bash
# All that only a GPU can show, by one command: builds the kernels for the card that is there, compares the whole model with
# the golden data in every precision, measures latency, launches beside their predictions, and stages, runs every test of the
# engine, and those of the stages under compute-sanitizer. The most valuable comes first: a run may end at any time. Writes
# report.json, report.md and log.txt after each part. README.md beside this says what it needs, METHOD.md how to read it.
#
#   bench/gpu/check.sh
#
# Variables, all optional:
#   OUT        the folder for the report           (default: bench/results/gpu)
#   BUILD      the folder to build in              (default: build/gpu-check)
#   COMMIT     what the report calls the sources   (default: what git says)
#   BUDGET     seconds for all parts together      (default: 480)
#   NODE       a node binary: runs end-to-end.mjs through the addon, too
#   EMULATOR   path of libcuda_emu.so: a dry run without a GPU, on small sizes, without nvcc and compute-sanitizer
#
# A part that fails, or takes longer than it may, does not stop the others. The exit code is 0 where all parts passed.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
cd "$root" || exit 1
out=${OUT:-bench/results/gpu}
build=${BUILD:-build/gpu-check}
budget=${BUDGET:-480}
node=${NODE:-}
emulator=${EMULATOR:-}
reserve=5 # seconds, for the end of a part that is stopped
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/machine" "$work/parts"
# Where a toolkit, and a driver that is mounted into a container, are if nobody has said so.
export PATH="$PATH:/usr/local/cuda/bin:/usr/local/nvidia/bin"
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64"

# ---- parts -----------------------------------------------------------------------------------------------------------

count=0
failed=0

report() {
  python3 bench/gpu/report.py "$work" "$out" || echo "the report could not be written" >&2
}

# begin NAME: `record` is where the part's files go.
begin() {
  count=$((count + 1))
  record=$work/parts/$(printf '%02d' "$count")-$1
  mkdir "$record"
}

# skip NAME REASON
skip() {
  begin "$1"
  printf '%s\n' "$2" >"$record/skipped"
  printf '%-24s %s\n' "$1" "skipped: $2"
  report
}

# part NAME SECONDS COMMAND...
part() {
  local name=$1 limit=$2 left=$((budget - reserve - SECONDS)) code started=$EPOCHREALTIME
  shift 2
  if ((left < 1)); then
    skip "$name" "the $budget s of the whole run are used up"
    failed=1
    return
  fi
  ((limit > left)) && limit=$left
  begin "$name"
  printf '%q ' "$@" >"$record/command"
  printf '%s\n' "$limit" >"$record/limit"
  timeout --kill-after=5 "$limit" "$@" >"$record/out" 2>"$record/err"
  code=$?
  printf '%s\n' "$code" >"$record/code"
  printf '%s %s\n' "$started" "$EPOCHREALTIME" >"$record/times"
  ((code == 0)) || failed=1
  printf '%-24s exit code %s\n' "$name" "$code"
  report
}

# ---- the machine -----------------------------------------------------------------------------------------------------

note() { cat >"$work/machine/$1" 2>/dev/null; }

date -u +%Y-%m-%dT%H:%M:%SZ | note date
printf '%s\n' "${COMMIT:-$(git describe --always --dirty 2>/dev/null)}" | note commit
printf '%s\n' "$budget" | note budget
uname -sr | note kernel
sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sort -u | note processor
nproc | note cores
"${CXX:-c++}" --version 2>/dev/null | head -n 1 | note compiler
cmake --version 2>/dev/null | head -n 1 | note cmake
if [[ -n $emulator ]]; then
  emulator=$(cd "$(dirname "$emulator")" && pwd)/$(basename "$emulator")
  echo "the emulated driver: no GPU" | note device
  export DINOV3_FLOW_CUDA_DRIVER=$emulator
  export EMULATOR_SMS="${EMULATOR_SMS:-132}" # as many as make attention split its keys
else
  query() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }
  query name | note device
  query driver_version | note driver
  query compute_cap | note capability
  query memory.total | note memory
  query clocks.max.sm | note max-sm-clock
  query power.limit | note power-limit
  nvcc --version 2>/dev/null | sed -n 's/.*release /release /p' | note nvcc
  export DINOV3_FLOW_CUDA_DRIVER=libcuda.so.1
fi

# ---- build -----------------------------------------------------------------------------------------------------------

configure=(cmake -S . -B "$build" -DFLOW_TESTS=ON -DFLOW_BENCH=ON -DFLOW_ADDON=OFF -DFLOW_EMULATOR=OFF)
keep_going=(-- -k)
if command -v ninja >/dev/null && [[ ! -e $build/CMakeCache.txt ]]; then configure+=(-G Ninja); fi
if [[ -n $emulator ]]; then
  configure+=(-DFLOW_CUDA=OFF -DFLOW_WERROR=ON) # as the tests, for the compiler cache
else
  capability=$(cat "$work/machine/capability")
  architecture=${capability//./}
  [[ $architecture == 90 ]] && architecture=90a
  configure+=(-DFLOW_CUDA=ON)
  [[ -n $architecture ]] && configure+=("-DFLOW_CUDA_ARCHITECTURES=$architecture-real")
fi
part configure 60 "${configure[@]}"
[[ -e $build/build.ninja ]] && keep_going=(-- -k 0)
programs=(parity_test seed_parity latency launch_times ops_test cuda_runtime_test order_test tiles_test stage_bench)
part build 300 cmake --build "$build" --parallel "$(nproc)" --target "${programs[@]}" "${keep_going[@]}"

# ptxas's warnings are the compiler's report of registers that did not suffice.
part spills 10 bash -c '! grep -h -i spilled "$@"' _ "$work"/parts/*-build/{out,err}
if [[ -n $emulator ]]; then
  skip tensor_cores "the emulated GPU has no machine code"
else
  part tensor_cores 30 python3 bench/gpu/tensor_cores.py "$build/kernels" --json \
    --expect attention correlation gemm mask_upsample
fi

# ---- is it right? ----------------------------------------------------------------------------------------------------

find_program() { find "$build" -type f -name "$1" -perm -u+x 2>/dev/null | head -n 1; }

# program PART SECONDS NAME ARGUMENTS...
program() {
  local name=$1 limit=$2 path
  path=$(find_program "$3")
  part "$name" "$limit" "${path:-$build/$3}" "${@:4}"
}

program parity_test 90 parity_test '[cuda' --figures
seed=test/fixtures/seed
parity=("$work/frame1.rgb" "$work/frame2.rgb" "$seed/outputs.safetensors")
if [[ -n $emulator ]]; then
  skip seed_parity "the seed's configuration takes minutes on the emulated GPU"
else
  part frames 30 python3 bench/gpu/png_to_rgb.py "$seed/frame1_640.png" "${parity[0]}" "$seed/frame2_640.png" "${parity[1]}"
  program seed_parity 90 seed_parity "${parity[@]}"
fi

# ---- how fast is it? -------------------------------------------------------------------------------------------------

if [[ -n $emulator ]]; then
  small=(--precision fp16 --height 16 --width 16)
  program latency-seed 120 latency --json "${small[@]}" --frames 1 --warm-up 2
  program latency-default 60 latency --model default --json "${small[@]}" --frames 1 --warm-up 2
  program launch_times 120 launch_times "${small[@]}" --repeats 1
else
  program latency-seed 60 latency --json
  program latency-default 60 latency --model default --json
  program launch_times 30 launch_times
fi

if [[ -n $emulator ]]; then
  skip torch_stream "the emulated GPU runs no PyTorch"
elif ! python3 -c 'import torch; torch.cuda.current_device(); torch.compile' 2>/dev/null; then
  skip torch_stream "PyTorch 2 with CUDA is not installed"
else
  part torch_stream 180 python3 bench/peers/torch_stream.py --json
fi

# ---- every stage -----------------------------------------------------------------------------------------------------

# Of the tests that know several engines those on CUDA: none is a failure, too.
if [[ -n $emulator ]]; then
  program ops_test 90 ops_test '[cuda f16' norm # all are among the tests already
else
  program ops_test 90 ops_test '[cuda'
fi
program cuda_runtime_test 60 cuda_runtime_test
program order_test 60 order_test
program tiles_test 30 tiles_test
if [[ -n $emulator ]]; then
  program stages-fp16 60 stage_bench --engine cuda "${small[@]}" --frames 1
else
  for precision in fp16 bf16 fp32; do
    program "stages-$precision" 30 stage_bench --engine cuda --precision "$precision" --frames 50
  done
fi

# ---- the addon -------------------------------------------------------------------------------------------------------

if [[ -z $node ]]; then
  skip end-to-end "NODE names no node binary"
elif [[ ! -e build/Release/dinov3_flow.node || ! -e dist/index.js || ! -e node_modules/node-gyp-build ]]; then
  skip end-to-end "build/Release/dinov3_flow.node, dist and node_modules/node-gyp-build are not all there"
else
  part end-to-end 60 "$node" bench/gpu/end-to-end.mjs
fi

# ---- compute-sanitizer: last, since it is slow -----------------------------------------------------------------------

if [[ -n $emulator ]]; then
  skip compute-sanitizer "it needs a GPU"
elif ! command -v compute-sanitizer >/dev/null; then
  skip compute-sanitizer "it is not installed"
  failed=1
else
  ops_test=$(find_program ops_test)
  for precision in f16 f32 bf16; do
    for tool in memcheck racecheck synccheck; do
      part "$tool-$precision" 90 compute-sanitizer --tool "$tool" --error-exitcode 99 "${ops_test:-$build/ops_test}" \
        "[cuda $precision"
    done
  done
fi

echo "the report is in $out"
exit "$failed"
