# ARRAYFS_PYTHON: an interpreter that has NumPy. The system's own comes first: on many machines the
# one on PATH belongs to a version manager and has none.
function(arrayfs_has_numpy result candidate)
  execute_process(COMMAND ${candidate} -c "import numpy" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

find_program(ARRAYFS_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH VALIDATOR arrayfs_has_numpy)
find_program(ARRAYFS_PYTHON python3 REQUIRED VALIDATOR arrayfs_has_numpy)

# A test of the mount: a module of unittest below tests/, run on one data plane.
function(arrayfs_python_test name module plane)
  add_test(NAME ${name}
    COMMAND ${ARRAYFS_PYTHON} -B -m unittest ${module}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests)
  set_tests_properties(${name} PROPERTIES
    ENVIRONMENT "ARRAYFS_BIN=$<TARGET_FILE:arrayfs>;ARRAYFS_TEST_PLANE=${plane}"
    SKIP_RETURN_CODE 77
    TIMEOUT 600)
endfunction()
