# trit_registry(NAME glob type array header): every file matching `glob`, say ops/op_relu.c, must
# define `const <type> <type>_relu`; they are collected, sorted by name, in `<array>[]`.
# A file without its symbol fails to link.
function(trit_registry name pattern type array header)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${pattern})
  list(SORT files)
  set(externs "")
  set(rows "")
  list(LENGTH files count)
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX REPLACE "^[a-z]+_(.*)$" "\\1" stem ${stem})
    string(APPEND externs "extern const ${type} ${type}_${stem};\n")
    string(APPEND rows "    &${type}_${stem},\n")
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/registry_${name}.c)
  file(GENERATE OUTPUT ${out} CONTENT
"#include <string.h>
#include \"${header}\"
${externs}
const ${type} *const ${array}[] = {
${rows}    NULL,
};
const int ${array}_count = ${count};

const ${type} *${type}_find(const char *name) {
    for (int i = 0; i < ${array}_count; i++)
        if (!strcmp(${array}[i]->name, name)) return ${array}[i];
    return NULL;
}
")
  list(APPEND TRIT_REGISTRIES ${out})
  set(TRIT_REGISTRIES ${TRIT_REGISTRIES} PARENT_SCOPE)
endfunction()
