# The whole network against the golden data. parity_test uses the tiny model and runs with the other tests, and so does
# range_test, whose values are out of range. seed_parity uses the seed's configuration and takes minutes per precision on an
# emulated GPU; bench/gpu/check.sh builds and runs it.

add_library(safetensors OBJECT ${CMAKE_CURRENT_LIST_DIR}/safetensors.cpp)
target_link_libraries(safetensors PUBLIC flow_engine)
foreach(program parity_test range_test seed_parity)
  add_executable(${program} ${CMAKE_CURRENT_LIST_DIR}/${program}.cpp)
  target_link_libraries(${program} PRIVATE safetensors)
endforeach()
set_target_properties(seed_parity PROPERTIES EXCLUDE_FROM_ALL ON)
get_filename_component(fixtures "${CMAKE_CURRENT_LIST_DIR}/../fixtures" ABSOLUTE)
foreach(program parity_test range_test)
  target_compile_definitions(${program} PRIVATE FLOW_FIXTURES="${fixtures}")
  if(TARGET cuda_emu)
    target_compile_definitions(${program} PRIVATE FLOW_EMULATOR="$<TARGET_FILE:cuda_emu>")
    add_dependencies(${program} cuda_emu)
  endif()
endforeach()
