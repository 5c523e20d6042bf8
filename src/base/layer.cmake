# config/keys/*.keys, the facts about configuration keys, become one C++ table.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB config_keys CONFIGURE_DEPENDS ${dir}/config/keys/*.keys)
set(config_keys_cc ${CMAKE_CURRENT_BINARY_DIR}/generated/base/config/keys_generated.cc)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/generated/base/config)
add_custom_command(
  OUTPUT ${config_keys_cc}
  COMMAND Python3::Interpreter ${dir}/config/generate_keys.py ${config_keys_cc} ${config_keys}
  DEPENDS ${dir}/config/generate_keys.py ${config_keys}
  COMMENT "Generating the table of configuration keys")
list(APPEND LAYER_SOURCES ${config_keys_cc})
