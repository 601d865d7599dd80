package graph_test

import (
	"fmt"
	"log"

	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
)

func ExampleParse() {
	metadata, err := graph.Parse(graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 48}}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{-1, 12}}},
		Nodes:   []graphtest.Node{{Op: "MatMul", Inputs: []string{"obs", "w"}, Outputs: []string{"action"}}},
		Weights: []graphtest.Weight{{Name: "w", Shape: []int64{48, 12}}},
	}.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(metadata.Inputs, metadata.Outputs)
	fmt.Println(metadata.OperatorCounts(), "with", metadata.Parameters, "parameters")
	// Output:
	// [obs float[-1 48]] [action float[-1 12]]
	// 1 MatMul with 576 parameters
}
