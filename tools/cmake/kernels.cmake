# Compiles kernels/*.cu with nvcc and embeds them in flow_engine. Only device code is compiled. So neither CMake's CUDA
# language nor a CUDA runtime is needed, and nvcc for x86-64 also serves builds for 64-bit ARM. nvcc preprocesses with
# g++ of the PATH as its host compiler; NVCC_CCBIN, nvcc's own variable, names another.

set(FLOW_CUDA AUTO CACHE STRING "Compile the CUDA kernels: ON, OFF, or AUTO, where there is an nvcc that works")
set_property(CACHE FLOW_CUDA PROPERTY STRINGS AUTO ON OFF)
option(FLOW_RELEASE "Compile the kernels for every GPU: minutes and a few MB more" OFF)
set(FLOW_CUDA_ARCHITECTURES "$ENV{CUDAARCHS}" CACHE STRING
  "What the kernels are compiled for, as in CMAKE_CUDA_ARCHITECTURES: \"90a\", \"80-real;90a-real;120\". Empty: chosen")

function(flow_find_nvcc)
  if(NOT FLOW_NVCC AND DEFINED ENV{CUDACXX})
    set(FLOW_NVCC "$ENV{CUDACXX}" CACHE FILEPATH "The CUDA compiler" FORCE)
  endif()
  find_program(FLOW_NVCC nvcc PATHS "$ENV{CUDA_PATH}/bin" /usr/local/cuda/bin NO_CMAKE_FIND_ROOT_PATH
    DOC "The CUDA compiler")
endfunction()

# The GPUs of this machine that nvcc knows, "90a-real;120-real"; empty if there are none.
function(flow_local_architectures out)
  set(found "")
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE capabilities ERROR_QUIET RESULT_VARIABLE status)
  execute_process(COMMAND "${FLOW_NVCC}" --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  if(status EQUAL 0)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]" capabilities "${capabilities}")
    foreach(capability IN LISTS capabilities)
      string(REPLACE "." "" number "${capability}")
      if(known MATCHES "sm_${number}[\r\n]")
        list(APPEND found "${number}-real")
      endif()
    endforeach()
    list(REMOVE_DUPLICATES found)
    list(TRANSFORM found REPLACE "^90-real$" "90a-real")
  endif()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# The architectures to compile for: FLOW_CUDA_ARCHITECTURES, if it is set. Otherwise all for a release, and for other
# builds the GPUs of this machine, so that a build from source is quick. A machine without a GPU gets an old
# architecture and a new one; the PTX of the old one runs on all later GPUs.
function(flow_choose_architectures out)
  set(chosen "${FLOW_CUDA_ARCHITECTURES}")
  if(NOT chosen AND FLOW_RELEASE)
    set(chosen "75-real;80-real;86-real;87-real;89-real;90a-real;100-real;120")
  elseif(NOT chosen)
    if(NOT CMAKE_CROSSCOMPILING)
      flow_local_architectures(chosen)
    endif()
    if(NOT chosen)
      set(chosen "80;90a-real")
    endif()
  endif()
  set(${out} "${chosen}" PARENT_SCOPE)
endfunction()

# nvcc's options for a list of architectures, and their names: "sm_90a sm_120 compute_120".
function(flow_architecture_options architectures out_options out_names)
  set(options "")
  set(names "")
  foreach(architecture IN LISTS architectures)
    if(NOT architecture MATCHES "^([0-9]+[af]?)(-real|-virtual)?$")
      message(FATAL_ERROR "FLOW_CUDA_ARCHITECTURES: \"${architecture}\" is not like 90a, 90a-real or 90-virtual")
    endif()
    set(number "${CMAKE_MATCH_1}")
    if(NOT CMAKE_MATCH_2 STREQUAL "-virtual")
      list(APPEND options "--generate-code=arch=compute_${number},code=sm_${number}")
      list(APPEND names "sm_${number}")
    endif()
    if(NOT CMAKE_MATCH_2 STREQUAL "-real")
      list(APPEND options "--generate-code=arch=compute_${number},code=compute_${number}")
      list(APPEND names "compute_${number}")
    endif()
  endforeach()
  list(JOIN names " " names)
  set(${out_options} "${options}" PARENT_SCOPE)
  set(${out_names} "${names}" PARENT_SCOPE)
endfunction()

# Tests whether nvcc compiles with these options here. Its version, its host compiler or its headers may be unfit.
function(flow_nvcc_works options out_reason)
  set(reason "")
  set(asked "${FLOW_NVCC};${options}")
  if(NOT FLOW_NVCC_WORKS STREQUAL asked)
    set(probe "${CMAKE_CURRENT_BINARY_DIR}/kernels/probe")
    file(WRITE "${probe}.cu" "#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n")
    execute_process(COMMAND "${FLOW_NVCC}" ${options} -o "${probe}.fatbin" "${probe}.cu"
      OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
    if(status EQUAL 0)
      set(FLOW_NVCC_WORKS "${asked}" CACHE INTERNAL "nvcc and the options that it was seen to work with")
    else()
      string(STRIP "${FLOW_NVCC} does not work: ${status} ${output}" reason)
    endif()
  endif()
  set(${out_reason} "${reason}" PARENT_SCOPE)
endfunction()

function(flow_add_kernels)
  set(sources "${CMAKE_CURRENT_SOURCE_DIR}/kernels")
  file(GLOB kernels CONFIGURE_DEPENDS "${sources}/*.cu")
  file(GLOB headers CONFIGURE_DEPENDS "${sources}/*.h" "${sources}/*.cuh")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/kernels")
  execute_process(COMMAND "${FLOW_NVCC}" --version OUTPUT_VARIABLE version ERROR_QUIET)
  set(version_number 0)
  if(version MATCHES "release ([0-9]+)\\.([0-9]+)")
    math(EXPR version_number "${CMAKE_MATCH_1} * 1000 + ${CMAKE_MATCH_2} * 10")
  endif()

  flow_choose_architectures(architectures)
  flow_architecture_options("${architectures}" architecture_options names)
  set(options -fatbin -std=c++20 -O3 ${architecture_options} -Xptxas -warn-spills)
  if(version_number GREATER_EQUAL 12080)  # the first version with that option
    list(APPEND options -compress-mode=size)
  endif()
  flow_nvcc_works("${options}" reason)
  if(reason)
    if(FLOW_CUDA STREQUAL "ON" OR FLOW_CUDA_ARCHITECTURES OR FLOW_RELEASE)  # an explicit request must not be ignored
      message(FATAL_ERROR "${reason}")
    endif()
    message(STATUS "CUDA kernels: none; ${reason}")
    return()
  endif()
  message(STATUS "CUDA kernels: ${names}, by ${FLOW_NVCC}")

  set(tensor_core_check "")
  if(FLOW_WERROR)  # includes ptxas's warnings: a kernel that spills registers is a mistake
    list(APPEND options --Werror all-warnings)
    find_program(FLOW_PYTHON python3 NO_CMAKE_FIND_ROOT_PATH DOC "Python, for the check of the kernels' machine code")
    set(script "${CMAKE_CURRENT_SOURCE_DIR}/bench/gpu/tensor_cores.py")
    if(FLOW_PYTHON AND EXISTS "${script}" AND names MATCHES "sm_")  # the package has no bench/; PTX is no machine code
      set(tensor_core_check "${FLOW_PYTHON}" "${script}")
    endif()
  endif()
  set(images "")
  set(list "")
  foreach(kernel IN LISTS kernels)
    get_filename_component(name "${kernel}" NAME_WE)
    set(image "${folder}/${name}.fatbin")
    set(keep_options "")
    set(prepare "")
    if(FLOW_WERROR OR FLOW_TESTS)  # checks read the machine code from nvcc's intermediate files
      set(kept "${folder}/${name}")
      set(keep_options --keep --keep-dir "${kept}")
      set(prepare COMMAND "${CMAKE_COMMAND}" -E rm -rf "${kept}" COMMAND "${CMAKE_COMMAND}" -E make_directory "${kept}")
    endif()
    set(check "")
    if(tensor_core_check AND name MATCHES "^(attention|correlation|gemm|mask_upsample)$")
      set(check COMMAND ${tensor_core_check} "${kept}" --expect ${name})
    endif()
    add_custom_command(OUTPUT "${image}"
      ${prepare}
      COMMAND "${FLOW_NVCC}" ${options} ${keep_options} -o "${image}" "${kernel}"
      ${check}
      DEPENDS "${kernel}" ${headers}
      COMMENT "Compiling ${name}.cu for ${names}"
      VERBATIM)
    list(APPEND images "${image}")
    string(APPEND list "FLOW_KERNEL_IMAGE(${name}, \"${image}\")\n")
  endforeach()
  file(CONFIGURE OUTPUT "${folder}/kernel_list.inl" CONTENT "${list}" @ONLY)
  set_source_files_properties(native/cuda/kernel_images.cpp PROPERTIES
    OBJECT_DEPENDS "${images};${folder}/kernel_list.inl")
  set_property(SOURCE native/cuda/kernel_images.cpp PROPERTY COMPILE_DEFINITIONS
    "FLOW_KERNEL_LIST=\"${folder}/kernel_list.inl\""
    "FLOW_BUILT_ARCHITECTURES=\"${names}\""
    "FLOW_BUILT_VERSION=${version_number}")
endfunction()

if(FLOW_CUDA AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  flow_find_nvcc()
  if(FLOW_NVCC)
    flow_add_kernels()
  elseif(FLOW_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FLOW_CUDA=ON needs nvcc: put it on the PATH, or name it in CUDACXX")
  else()
    message(STATUS "CUDA kernels: none; nvcc was not found")
  endif()
endif()
