select
    o.OrganizationKey || '-' || d.DepartmentGroupKey as cost_center_id,
    o.OrganizationName || ' / ' || d.DepartmentGroupName as name,
    -- Rolls up to the same department group of the organisation above.
    o.ParentOrganizationKey || '-' || d.DepartmentGroupKey as parent_cost_center_id
from dim_organization as o
cross join dim_department_group as d
