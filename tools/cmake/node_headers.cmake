# FLOW_NODE_HEADERS: where Node-API is declared, for addons.

set(FLOW_NODE_HEADERS "" CACHE STRING "Folders of the headers of Node-API, for C and for C++. Empty: those of the npm packages")
if(NOT FLOW_NODE_HEADERS)
  find_program(NODE_EXE NAMES node nodejs REQUIRED)
  execute_process(
    COMMAND "${NODE_EXE}" -p "[require('node-api-headers').include_dir, require('node-addon-api').include_dir].map(p => require('path').resolve(p)).join(';')"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    OUTPUT_VARIABLE FLOW_NODE_HEADERS
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
