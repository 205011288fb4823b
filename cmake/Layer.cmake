# headstart_layer(NAME DEPENDS other layers… LINK libraries… PUBLIC_LINK libraries…): the static library of one folder of src/. Its sources
# are the folder's *.cpp; DEPENDS are the arrows that it may follow.
function(headstart_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK;PUBLIC_LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp)
  endif()
  add_library(headstart_${name} STATIC ${sources})
  target_include_directories(headstart_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ARG_DEPENDS PREPEND headstart_)
  target_link_libraries(headstart_${name} PUBLIC ${ARG_DEPENDS} ${ARG_PUBLIC_LINK} PRIVATE ${ARG_LINK} headstart_warnings)
endfunction()
