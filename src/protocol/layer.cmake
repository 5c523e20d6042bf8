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
set(generated_random "")
set(generated_json "")
math(EXPR last "${PROTOCOL_CODEC_GROUPS} - 1")
foreach(index RANGE ${last})
  if(index LESS 10)
    set(index 0${index})
  endif()
  list(APPEND generated_codecs ${generated}/codec_${index}.cc)
  list(APPEND generated_random ${generated}/random_${index}.cc)
  list(APPEND generated_json ${generated}/json_${index}.cc)
endforeach()

add_custom_command(
  OUTPUT ${generated_codecs} ${generated_random} ${generated_json} ${generated_headers}
  COMMAND ${Python3_EXECUTABLE} -B ${dir}/generator/generate.py ${dir}/schemas ${generated_root} ${PROTOCOL_CODEC_GROUPS}
  DEPENDS ${schemas} ${generator_parts}
  COMMENT "Generating the protocol's messages")

list(FILTER LAYER_SOURCES EXCLUDE REGEX "/testing/")
list(APPEND LAYER_SOURCES ${generated_codecs} ${generated_headers})
list(APPEND LAYER_INCLUDES ${generated_root})

# Messages as JSON, for tools. Random messages, for tests and fuzzers. Built only where somebody links them.
add_library(odr_protocol_json STATIC EXCLUDE_FROM_ALL ${generated_json})
target_link_libraries(odr_protocol_json PUBLIC odr_protocol)
add_library(odr_protocol_testing STATIC EXCLUDE_FROM_ALL ${dir}/testing/message_ops.cc ${generated_random})
target_link_libraries(odr_protocol_testing PUBLIC odr_protocol odr_protocol_json)

if(ODRADEK_TESTS)
  # The C++ half of tests/protocol/run.py, which is the test protocol.judge.
  add_executable(odr_protocol_roundtrip ${CMAKE_SOURCE_DIR}/tests/protocol/roundtrip.cc)
  target_link_libraries(odr_protocol_roundtrip odr_protocol_testing)
  add_test(NAME protocol.judge
           COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/protocol/run.py --build ${CMAKE_BINARY_DIR})
  set_tests_properties(protocol.judge PROPERTIES SKIP_RETURN_CODE 77)
  cmake_language(DEFER CALL target_link_libraries odr_protocol_test odr_protocol_testing)
endif()
if(ODRADEK_FUZZ)
  cmake_language(DEFER CALL target_link_libraries protocol_fuzz odr_protocol_testing)
endif()
if(ODRADEK_BENCH)
  # Deferred, for the bench program is declared after its layer.
  function(odradek_link_protocol_bench)
    if(TARGET odr_protocol_bench)
      target_link_libraries(odr_protocol_bench odr_protocol_testing)
    endif()
  endfunction()
  cmake_language(DEFER CALL odradek_link_protocol_bench)
endif()
