# Cross-compiles for Linux by `zig c++`, which brings a C library of each kind and version along.
#   FLOW_ZIG         the program
#   FLOW_ZIG_TARGET  such as x86_64-linux-gnu.2.28 or aarch64-linux-musl
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FLOW_ZIG FLOW_ZIG_TARGET)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${FLOW_ZIG_TARGET}")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_CXX_COMPILER "${FLOW_ZIG}" c++)
set(CMAKE_CXX_COMPILER_TARGET "${FLOW_ZIG_TARGET}")
# Those of the host may not know the objects of another processor.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${FLOW_ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${FLOW_ZIG}\" ranlib <TARGET>")
