if(HEADSTART_SANITIZE)
  add_compile_options(-fsanitize=${HEADSTART_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HEADSTART_SANITIZE})
endif()
