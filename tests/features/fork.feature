Feature: Fork
  Branches at the same time: their outputs, their contexts, their errors.

  Scenario: The output is a list in declared order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-output-is-a-list-in-declared-order, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - slow: { do: [ { nap: { wait: PT0.1S } }, { say: { set: { from: slow } } } ] }
              - quick: { set: { from: quick } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - from: slow
    - from: quick
    """

  Scenario: The first success wins, and the others are cancelled
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-first-success-wins-and-the-others-are-cancelle, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - never: { do: [ { nap: { wait: P1D } }, { say: { set: { from: never } } } ] }
              - quick: { do: [ { short: { wait: PT0.05S } }, { win: { set: { from: quick } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    from: quick
    """
    And say should not run

  Scenario: A branch that faults does not win
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-branch-that-faults-does-not-win, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - broken: { raise: { error: { type: https://example.com/broken, status: 500 } } }
              - slow: { do: [ { nap: { wait: PT0.05S } }, { win: { set: { from: slow } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    from: slow
    """

  Scenario: When no branch succeeds, the race faults
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: when-no-branch-succeeds-the-race-faults, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - one: { raise: { error: { type: https://example.com/broken, status: 500 } } }
              - two: { raise: { error: { type: https://example.com/broken, status: 500 } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/broken
    status: 500
    """

  Scenario: A fault of one branch faults the fork and stops the others
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-fault-of-one-branch-faults-the-fork-and-stops-th, version: '1.0.0' }
    do:
      - both:
          try:
            - fork:
                fork:
                  branches:
                    - broken: { raise: { error: { type: https://example.com/broken, status: 503 } } }
                    - slow: { do: [ { nap: { wait: P1D } }, { never: { set: { x: 1 } } } ] }
          catch:
            errors: { with: { status: 503 } }
            do: [ { caught: { set: { caught: true } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    caught: true
    """
    And never should not run

  Scenario: Contexts are merged in declared order at the join
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: contexts-are-merged-in-declared-order-at-the-join, version: '1.0.0' }
    do:
      - before: { set: { x: 1 }, export: { as: '{ before: 1 }' } }
      - both:
          fork:
            branches:
              - slow: { do: [ { nap: { wait: PT0.05S } }, { a: { set: { x: 1 }, export: { as: '$context + { a: ($context.b // "not seen") }' } } } ] }
              - quick: { do: [ { b: { set: { x: 2 }, export: { as: '$context + { b: 2 }' } } } ] }
      - after: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    before: 1
    a: not seen
    b: 2
    """

  Scenario: Forks stand inside forks and loops
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: forks-stand-inside-forks-and-loops, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: '[1, 2]' }
          do:
            - both:
                fork:
                  branches:
                    - one: { set: { v: '${ $n }' } }
                    - two: { fork: { branches: [ { three: { set: { v: '${ $n * 10 }' } } } ] } }
                output: { as: '{ all: (($input.all // []) + [.]) }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    all:
      - [ { v: 1 }, [ { v: 10 } ] ]
      - [ { v: 2 }, [ { v: 20 } ] ]
    """
