# ptxas of CUDA 12.9 from NVIDIA's package on PyPI. No later version makes machine code that drivers before CUDA 13 read,
# and earlier ones spill registers of gemm.cu. pip checks the hashes.

set(FLOW_PTXAS_VERSION 12.9.86)
set(FLOW_PTXAS_HASHES
  5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0   # x86-64
  44e1eca4d08926193a558d2434b1bf83d57b4d5743e0c431c0c83d51da1df62b)  # 64-bit ARM

# Sets FLOW_PTXAS. Without network or pip it stays empty, and the build says what it lacks.
function(flow_fetch_ptxas)
  set(folder "${CMAKE_BINARY_DIR}/ptxas-${FLOW_PTXAS_VERSION}")
  set(ptxas "${folder}/nvidia/cuda_nvcc/bin/ptxas")
  if(NOT EXISTS "${ptxas}")
    message(STATUS "Fetching ptxas ${FLOW_PTXAS_VERSION}, 40 MB")
    list(TRANSFORM FLOW_PTXAS_HASHES PREPEND "--hash=sha256:" OUTPUT_VARIABLE hashes)
    list(JOIN hashes " " hashes)
    file(WRITE "${folder}/requirements.txt" "nvidia-cuda-nvcc-cu12==${FLOW_PTXAS_VERSION} ${hashes}\n")
    execute_process(
      COMMAND python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes -r requirements.txt
      WORKING_DIRECTORY "${folder}" OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
    file(GLOB wheel "${folder}/*.whl")
    if(NOT status EQUAL 0 OR NOT wheel)
      string(STRIP "${status} ${output}" output)
      message(WARNING "ptxas ${FLOW_PTXAS_VERSION} could not be fetched (${output}). This build leaves out machine code "
        "for drivers before CUDA 13: they compile the PTX instead, at the first use. FLOW_PTXAS names a ptxas of CUDA 12.")
      return()
    endif()
    file(ARCHIVE_EXTRACT INPUT "${wheel}" DESTINATION "${folder}" PATTERNS "*/bin/ptxas")
    file(REMOVE "${wheel}")
    file(CHMOD "${ptxas}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  endif()
  set(FLOW_PTXAS "${ptxas}" PARENT_SCOPE)
endfunction()
