# find_package(ZED)
