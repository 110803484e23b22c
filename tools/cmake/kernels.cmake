# Compiles kernels/*.cu and embeds them in flow_engine. Only device code is compiled. So neither CMake's CUDA language
# nor a CUDA runtime is needed, and nvcc for x86-64 also serves builds for 64-bit ARM. nvcc preprocesses with g++ of the
# PATH as its host compiler; NVCC_CCBIN, nvcc's own variable, names another.
#
#   NAME.cu  -- nvcc -->  NAME.compute_80.ptx  -- ptxas -->  NAME.sm_86.cubin  -- fatbinary -->  NAME.sm_86.fatbin
#
# A driver reads machine code of its own major version of CUDA and of earlier ones, so that of CUDA 13 needs a driver of
# 2025. ptxas of CUDA 12 (FLOW_PTXAS) makes machine code that older drivers read as well. PTX is embedded for GPUs and
# drivers without machine code. It claims the oldest version of the language that has all its instructions, because a
# driver refuses a version that is newer than itself. native/cuda/image_choice.h says which image a GPU gets.

set(FLOW_CUDA AUTO CACHE STRING "Compile the CUDA kernels: ON, OFF, or AUTO, where there is an nvcc that works")
set_property(CACHE FLOW_CUDA PROPERTY STRINGS AUTO ON OFF)
option(FLOW_RELEASE "Compile the kernels for every GPU and driver: minutes and many MB more" OFF)
set(FLOW_CUDA_ARCHITECTURES "$ENV{CUDAARCHS}" CACHE STRING
  "What the kernels are compiled for, as in CMAKE_CUDA_ARCHITECTURES: \"90a\", \"80-real;90a-real;120\". Empty: chosen")

set(FLOW_PTXAS "$ENV{FLOW_PTXAS}" CACHE FILEPATH
  "ptxas of CUDA 12, for machine code that drivers before CUDA 13 read. Empty: a release fetches it, other builds have none")
set(FLOW_SHARED_IMAGES "" CACHE PATH
  "A folder to make the images in, and of them one file, kernels.bin, for addons of several systems, which look for it beside \
them and one folder up. With FLOW_CUDA=OFF the file must be there already. Empty: the images are in the addon")

function(flow_find_nvcc)
  if(NOT FLOW_NVCC AND DEFINED ENV{CUDACXX})
    set(FLOW_NVCC "$ENV{CUDACXX}" CACHE FILEPATH "The CUDA compiler" FORCE)
  endif()
  find_program(FLOW_NVCC nvcc PATHS "$ENV{CUDA_PATH}/bin" /usr/local/cuda/bin NO_CMAKE_FIND_ROOT_PATH
    DOC "The CUDA compiler")
  get_filename_component(folder "${FLOW_NVCC}" DIRECTORY)
  foreach(tool ptxas fatbinary)
    find_program(FLOW_NVCC_${tool} ${tool} HINTS "${folder}" NO_CMAKE_FIND_ROOT_PATH DOC "${tool} of nvcc's toolkit")
  endforeach()
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

# The architectures to compile for: FLOW_CUDA_ARCHITECTURES, if it is set. Otherwise all for a release: machine code of
# GPUs of the same major capability runs, but each is compiled for its own, and Jetsons (87, 110) run only their own. For
# other builds the GPUs of this machine, so that a build from source is quick. A machine without a GPU gets an old
# architecture and a new one; the PTX of the old one runs on all later GPUs.
function(flow_choose_architectures out)
  set(chosen "${FLOW_CUDA_ARCHITECTURES}")
  if(NOT chosen AND FLOW_RELEASE)
    set(chosen "75;80;86-real;87-real;89-real;90-real;100-real;110-real;120-real")
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

# The images of a list of architectures, "sm_90a;sm_120;compute_120".
function(flow_list_images architectures out)
  set(images "")
  foreach(architecture IN LISTS architectures)
    if(NOT architecture MATCHES "^([0-9]+[af]?)(-real|-virtual)?$")
      message(FATAL_ERROR "FLOW_CUDA_ARCHITECTURES: \"${architecture}\" is not like 90a, 90a-real or 90-virtual")
    endif()
    if(NOT CMAKE_MATCH_2 STREQUAL "-virtual")
      list(APPEND images "sm_${CMAKE_MATCH_1}")
    endif()
    if(NOT CMAKE_MATCH_2 STREQUAL "-real")
      list(APPEND images "compute_${CMAKE_MATCH_1}")
    endif()
  endforeach()
  set(${out} "${images}" PARENT_SCOPE)
endfunction()

# The PTX that an image is made of. The kernels have code of their own for capabilities before 8.0 and from 9.0 on. So one
# PTX serves all from 8.0 to 8.9. CUDA 12 does not know those from 10.0 on, which get one of their own.
function(flow_ptx_of image out)
  string(REGEX REPLACE "^(sm|compute)_" "" number "${image}")
  if(image MATCHES "^sm_" AND number MATCHES "^[0-9]+$" AND number GREATER_EQUAL 80)
    if(number GREATER_EQUAL 100)
      set(number 100)
    elseif(number GREATER_EQUAL 90)
      set(number 90)
    else()
      set(number 80)
    endif()
  endif()
  set(${out} "compute_${number}" PARENT_SCOPE)
endfunction()

# Tests whether nvcc compiles to these PTX architectures here. Its version, its host compiler or its headers may be unfit.
function(flow_nvcc_works architectures out_reason)
  set(reason "")
  set(asked "${FLOW_NVCC};${FLOW_NVCC_ptxas};${FLOW_NVCC_fatbinary};${architectures}")
  if(NOT FLOW_NVCC_WORKS STREQUAL asked)
    foreach(tool ptxas fatbinary)
      if(NOT FLOW_NVCC_${tool})
        set(reason "${FLOW_NVCC} comes without ${tool}")
      endif()
    endforeach()
    set(probe "${CMAKE_CURRENT_BINARY_DIR}/kernels/probe")
    file(WRITE "${probe}.cu" "#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n")
    foreach(architecture IN LISTS architectures)
      if(NOT reason)
        execute_process(COMMAND "${FLOW_NVCC}" -ptx -std=c++20 -arch=${architecture} -o "${probe}.ptx" "${probe}.cu"
          OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
        if(NOT status EQUAL 0)
          string(STRIP "${FLOW_NVCC} does not work: ${status} ${output}" reason)
        endif()
      endif()
    endforeach()
    if(NOT reason)
      set(FLOW_NVCC_WORKS "${asked}" CACHE INTERNAL "nvcc and the architectures that it was seen to work with")
    endif()
  endif()
  set(${out_reason} "${reason}" PARENT_SCOPE)
endfunction()

# The version of a tool of CUDA in the driver's format: 12090 for 12.9. 0 if it does not tell.
function(flow_cuda_version tool out)
  set(number 0)
  execute_process(COMMAND "${tool}" --version OUTPUT_VARIABLE version ERROR_QUIET)
  if(version MATCHES "release ([0-9]+)\\.([0-9]+)")
    math(EXPR number "${CMAKE_MATCH_1} * 1000 + ${CMAKE_MATCH_2} * 10")
  endif()
  set(${out} "${number}" PARENT_SCOPE)
endfunction()

# Adds the commands that make one image of a kernel from its PTX, with checks if FLOW_WERROR is on.
function(flow_add_machine_code name image ptx folder out)
  flow_is_for_old_drivers(${image} old)
  if(old)
    set(ptxas "${FLOW_PTXAS}")
  else()
    set(ptxas "${FLOW_NVCC_ptxas}")
  endif()
  set(cubin "${folder}/new/${name}.${image}.cubin")
  set(options -arch=${image} -O3 -warn-spills)
  set(check "")
  if(FLOW_WERROR)
    list(APPEND options -Werror)  # a kernel that spills registers is a mistake
    if(FLOW_TENSOR_CORE_CHECK AND name MATCHES "^(attention|correlation|gemm|mask_upsample)$")
      set(check COMMAND ${FLOW_TENSOR_CORE_CHECK} "${cubin}" --expect ${name})
    endif()
  endif()
  if(old OR FLOW_NVCC_VERSION LESS 13000 OR FLOW_SHARED_IMAGES)  # a shared file is packed, and better
    set(file "${folder}/${name}.${image}.cubin")
    set(finish COMMAND "${CMAKE_COMMAND}" -E rename "${cubin}" "${file}")
  else()  # every driver that reads it can unpack it
    set(file "${folder}/${name}.${image}.fatbin")
    string(REPLACE "sm_" "" number "${image}")
    set(finish COMMAND "${FLOW_NVCC_fatbinary}" -64 -compress-all -compress-mode=size "-create=${file}"
      "--image3=kind=elf,sm=${number},file=${cubin}")
  endif()
  add_custom_command(OUTPUT "${file}"
    COMMAND "${ptxas}" ${options} -o "${cubin}" "${ptx}"
    ${check}
    ${finish}
    DEPENDS "${ptx}"
    COMMENT "Assembling ${name} for ${image}"
    VERBATIM)
  set(${out} "${file}" PARENT_SCOPE)
endfunction()

# Whether FLOW_PTXAS assembles an image: there is one, and it knows that GPU.
function(flow_is_for_old_drivers image out)
  set(old OFF)
  if(FLOW_PTXAS AND image MATCHES "^sm_([0-9]+)$" AND CMAKE_MATCH_1 LESS_EQUAL 90)
    set(old ON)
  endif()
  set(${out} ${old} PARENT_SCOPE)
endfunction()

# The oldest driver that reads an image, in the driver's format.
function(flow_driver_of image out)
  flow_is_for_old_drivers(${image} old)
  if(old)
    # CUDA 12's machine code has the ELF ABI of CUDA 11's. A driver that refuses it all the same gets the PTX.
    set(driver 11040)
  elseif(image MATCHES "^sm_")
    math(EXPR driver "${FLOW_NVCC_VERSION} / 1000 * 1000")
  else()
    flow_lowered_version(${image} version)
    if(version STREQUAL "7.4")
      set(driver 11040)
    elseif(version STREQUAL "7.8")
      set(driver 11080)
    else()
      set(driver ${FLOW_NVCC_VERSION})
    endif()
  endif()
  set(${out} ${driver} PARENT_SCOPE)
endfunction()

# The version of the language that an architecture's PTX claims; empty if it is the compiler's. 7.4 is that of CUDA 11.4,
# which is the first to know sm_87 and the oldest whose drivers the engine supports. 7.8 is that of CUDA 11.8, which is the
# first to know sm_90. ptxas fails if an instruction is newer.
function(flow_lowered_version architecture out)
  set(version "")
  if(architecture MATCHES "^compute_([0-9]+)$")
    if(CMAKE_MATCH_1 LESS_EQUAL 87)
      set(version 7.4)
    elseif(CMAKE_MATCH_1 EQUAL 90)
      set(version 7.8)
    endif()
  endif()
  set(${out} "${version}" PARENT_SCOPE)
endfunction()

# Adds the command that compiles a kernel to PTX.
function(flow_add_ptx kernel architecture ptx headers)
  set(options -ptx -std=c++20 -O3 -arch=${architecture})
  if(FLOW_WERROR)
    list(APPEND options --Werror all-warnings)
  endif()
  set(compiled "${ptx}")
  set(lower "")
  set(script "${CMAKE_CURRENT_SOURCE_DIR}/tools/cmake/lower_ptx.cmake")
  flow_lowered_version(${architecture} version)
  if(version)
    set(compiled "${ptx}.new")
    set(lower COMMAND "${CMAKE_COMMAND}" "-DFROM=${compiled}" "-DTO=${ptx}" "-DVERSION=${version}" -P "${script}")
  endif()
  get_filename_component(name "${kernel}" NAME)
  add_custom_command(OUTPUT "${ptx}"
    COMMAND "${FLOW_NVCC}" ${options} -o "${compiled}" "${kernel}"
    ${lower}
    DEPENDS "${kernel}" ${headers} "${script}"
    COMMENT "Compiling ${name} for ${architecture}"
    VERBATIM)
endfunction()

# Lets the addon look for the images in the file of FLOW_SHARED_IMAGES, and for no other version of it.
function(flow_use_shared_images)
  set(id "${FLOW_SHARED_IMAGES}/images_id.h")
  set_source_files_properties(native/cuda/kernel_images.cpp PROPERTIES
    OBJECT_DEPENDS "${id}"
    COMPILE_OPTIONS "-include;${id}")
endfunction()

function(flow_add_kernels)
  set(sources "${CMAKE_CURRENT_SOURCE_DIR}/kernels")
  file(GLOB kernels CONFIGURE_DEPENDS "${sources}/*.cu")
  file(GLOB headers CONFIGURE_DEPENDS "${sources}/*.h" "${sources}/*.cuh")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/kernels")
  if(FLOW_SHARED_IMAGES)
    set(folder "${FLOW_SHARED_IMAGES}")
  endif()
  flow_cuda_version("${FLOW_NVCC}" FLOW_NVCC_VERSION)

  flow_choose_architectures(architectures)
  flow_list_images("${architectures}" images)
  set(virtual "")
  foreach(image IN LISTS images)
    flow_ptx_of(${image} ptx)
    list(APPEND virtual ${ptx})
  endforeach()
  list(REMOVE_DUPLICATES virtual)
  flow_nvcc_works("${virtual}" reason)
  if(reason)
    if(FLOW_CUDA STREQUAL "ON" OR FLOW_CUDA_ARCHITECTURES OR FLOW_RELEASE)  # an explicit request must not be ignored
      message(FATAL_ERROR "${reason}")
    endif()
    message(STATUS "CUDA kernels: none; ${reason}")
    return()
  endif()
  if(FLOW_RELEASE AND NOT FLOW_PTXAS)
    flow_fetch_ptxas()
  endif()
  if(FLOW_PTXAS)
    flow_cuda_version("${FLOW_PTXAS}" version)
    if(version LESS 11080 OR version GREATER_EQUAL 13000)  # 11.8 is the first that knows 8.9 and 9.0
      message(FATAL_ERROR "FLOW_PTXAS=${FLOW_PTXAS} is not ptxas of CUDA 11.8 or 12 (${version})")
    endif()
  endif()
  set(FLOW_TENSOR_CORE_CHECK "")
  if(FLOW_WERROR)
    find_program(FLOW_PYTHON python3 NO_CMAKE_FIND_ROOT_PATH DOC "Python, for the check of the kernels' machine code")
    set(script "${CMAKE_CURRENT_SOURCE_DIR}/bench/gpu/tensor_cores.py")
    if(FLOW_PYTHON AND EXISTS "${script}")  # the package has no bench/
      set(FLOW_TENSOR_CORE_CHECK "${FLOW_PYTHON}" "${script}")
    endif()
  endif()

  file(MAKE_DIRECTORY "${folder}/new")  # of images that are not checked yet
  set(ptx_with_commands "")
  set(files "")
  set(list "")
  set(packed_list "")
  set(told "")
  foreach(image IN LISTS images)
    flow_driver_of(${image} driver)
    flow_ptx_of(${image} architecture)
    math(EXPR major "${driver} / 1000")
    math(EXPR minor "${driver} % 1000 / 10")
    string(APPEND told "\n--   ${image}, for drivers of CUDA ${major}.${minor} and later")
    string(APPEND list "FLOW_IMAGE_SET(${image}, ${driver})\n")
    foreach(kernel IN LISTS kernels)
      get_filename_component(name "${kernel}" NAME_WE)
      set(ptx "${folder}/${name}.${architecture}.ptx")
      if(NOT ptx IN_LIST ptx_with_commands)
        flow_add_ptx("${kernel}" ${architecture} "${ptx}" "${headers}")
        list(APPEND ptx_with_commands "${ptx}")
      endif()
      set(file "${ptx}")
      if(image MATCHES "^sm_")
        flow_add_machine_code(${name} ${image} "${ptx}" "${folder}" file)
      endif()
      list(APPEND files "${file}")
      string(APPEND list "FLOW_KERNEL_IMAGE(${image}, ${name}, \"${file}\")\n")
      string(APPEND packed_list "${image} ${driver} ${name} ${file}\n")
    endforeach()
    string(APPEND list "FLOW_IMAGE_SET_END\n")
  endforeach()
  message(STATUS "CUDA kernels, by ${FLOW_NVCC}:${told}")
  if(FLOW_SHARED_IMAGES)
    set(script "${CMAKE_CURRENT_SOURCE_DIR}/tools/cmake/pack_images.py")
    file(CONFIGURE OUTPUT "${folder}/image_list.txt" CONTENT "${packed_list}" @ONLY)
    add_custom_command(OUTPUT "${folder}/kernels.bin" "${folder}/images_id.h"
      COMMAND python3 "${script}" "${folder}/image_list.txt" "${folder}/kernels.bin" "${folder}/images_id.h"
      DEPENDS ${files} "${folder}/image_list.txt" "${script}"
      COMMENT "Packing the images of the kernels"
      VERBATIM)
    add_custom_target(flow_images DEPENDS "${folder}/kernels.bin")
    flow_use_shared_images()
    return()
  endif()
  file(CONFIGURE OUTPUT "${folder}/image_list.inl" CONTENT "${list}" @ONLY)
  set_source_files_properties(native/cuda/kernel_images.cpp PROPERTIES
    OBJECT_DEPENDS "${files};${folder}/image_list.inl")
  set_property(SOURCE native/cuda/kernel_images.cpp PROPERTY COMPILE_DEFINITIONS
    "FLOW_IMAGE_LIST=\"${folder}/image_list.inl\"")
endfunction()

include("${CMAKE_CURRENT_LIST_DIR}/fetch_ptxas.cmake")
if(FLOW_CUDA AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  flow_find_nvcc()
  if(FLOW_NVCC)
    flow_add_kernels()
  elseif(FLOW_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FLOW_CUDA=ON needs nvcc: put it on the PATH, or name it in CUDACXX")
  else()
    message(STATUS "CUDA kernels: none; nvcc was not found")
  endif()
elseif(FLOW_SHARED_IMAGES)
  if(NOT EXISTS "${FLOW_SHARED_IMAGES}/images_id.h")
    message(FATAL_ERROR "FLOW_SHARED_IMAGES: ${FLOW_SHARED_IMAGES} holds no images; make them with FLOW_CUDA=ON first, "
      "target flow_images")
  endif()
  message(STATUS "CUDA kernels: ${FLOW_SHARED_IMAGES}/kernels.bin")
  flow_use_shared_images()
endif()
