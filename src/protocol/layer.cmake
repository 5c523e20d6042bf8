# The messages: schemas/*.schema -> C++ in the build tree. codec_NN.cc share the codecs; each message has its header.
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
set(PROTOCOL_CODEC_GROUPS 12)
set(generated_root ${CMAKE_BINARY_DIR}/generated)
set(generated ${generated_root}/protocol/generated)
file(GLOB schemas CONFIGURE_DEPENDS ${dir}/schemas/*.schema)
file(GLOB generator_parts CONFIGURE_DEPENDS ${dir}/generator/*.py)

set(generated_headers ${generated}/record_types.h ${generated}/all_messages.h ${generated}/api_keys.inc
    ${generated}/metadata_records.inc ${generated}/all_messages.inc)
foreach(schema ${schemas})
  get_filename_component(stem ${schema} NAME_WE)
  list(APPEND generated_headers ${generated}/${stem}.h)
endforeach()
set(generated_codecs "")
math(EXPR last "${PROTOCOL_CODEC_GROUPS} - 1")
foreach(index RANGE ${last})
  if(index LESS 10)
    set(index 0${index})
  endif()
  list(APPEND generated_codecs ${generated}/codec_${index}.cc)
endforeach()

add_custom_command(
  OUTPUT ${generated_codecs} ${generated_headers}
  COMMAND ${Python3_EXECUTABLE} -B ${dir}/generator/generate.py ${dir}/schemas ${generated_root} ${PROTOCOL_CODEC_GROUPS}
  DEPENDS ${schemas} ${generator_parts}
  COMMENT "Generating the protocol's messages")

list(APPEND LAYER_SOURCES ${generated_codecs} ${generated_headers})
list(APPEND LAYER_INCLUDES ${generated_root})
