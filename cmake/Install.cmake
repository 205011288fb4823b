# cmake --install: bin/headstart, lib/libheadstart.so, include/headstart, and the package that find_package(headstart) reads.
include(CMakePackageConfigHelpers)

install(TARGETS headstart EXPORT headstartTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/headstart DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT headstartTargets NAMESPACE headstart:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/headstart)

# LibTorch is a private dependency: its folder is in the library's rpath, and nothing of it is in the public headers.
file(WRITE ${PROJECT_BINARY_DIR}/headstartConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/headstartTargets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/headstartConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/headstartConfig.cmake ${PROJECT_BINARY_DIR}/headstartConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/headstart)
