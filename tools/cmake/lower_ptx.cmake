# cmake -DFROM=FILE -DTO=FILE -P lower_ptx.cmake: lets PTX of a newer compiler claim version 7.4 of the language, that of
# CUDA 11.4. Its instructions must be no newer, which ptxas checks. `used_bytes_mask` is a hint of later versions.

file(READ "${FROM}" text)
if(NOT text MATCHES "\n\\.version [0-9.]+\n")
  message(FATAL_ERROR "${FROM} has no line .version")
endif()
string(REGEX REPLACE "\n\\.version [0-9.]+\n" "\n.version 7.4\n" text "${text}")
string(REGEX REPLACE "\n[ \t]*\\.pragma \"used_bytes_mask[^\n]*" "" text "${text}")
file(WRITE "${TO}" "${text}")
