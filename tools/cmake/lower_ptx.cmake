# cmake -DFROM=FILE -DTO=FILE -DVERSION=7.4 -P lower_ptx.cmake: lets PTX of a newer compiler claim an older version of the
# language. Its instructions must be no newer, which ptxas checks. `used_bytes_mask` is a hint of later versions.

file(READ "${FROM}" text)
if(NOT text MATCHES "\n\\.version [0-9.]+\n")
  message(FATAL_ERROR "${FROM} has no line .version")
endif()
string(REGEX REPLACE "\n\\.version [0-9.]+\n" "\n.version ${VERSION}\n" text "${text}")
string(REGEX REPLACE "\n[ \t]*\\.pragma \"used_bytes_mask[^\n]*" "" text "${text}")
file(WRITE "${TO}" "${text}")
